"""The plan of a training, known before anything is started: shards, work, memory."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from distbelief.app.settings.config import ClusterConfig
from distbelief.coordinator.downpour.intervals import longest_interval
from distbelief.coordinator.downpour.units import UnitPlan
from distbelief.coordinator.problem.memory_estimate import MemoryEstimate, bytes_text
from distbelief.coordinator.problem.problem import Problem
from distbelief.coordinator.sandblaster.portion_count import portions_of


@dataclass(frozen=True)
class Plan:
    """A training in figures.

    ``pushes`` is (least, most): as long as ``n_push`` is to be chosen they differ. ``portions``
    is Sandblaster's; what only Downpour has is None there, and the other way round. A hybrid has
    both, and fewer steps where the loss no longer falls before the last pass.
    """

    parameters: int
    train: int
    heldout: int
    test: int
    servers: int
    shards: int
    block_numbers: int
    tables: int
    processes: int | None
    steps: int | None
    units: int | None
    pushes: tuple[int, int] | None
    portions: int | None
    iterations: int | None
    memory: MemoryEstimate

    @classmethod
    def of(cls, problem: Problem, cluster: ClusterConfig) -> Plan:
        """Plan the training of a problem on a cluster.

        Raises:
            DataError, ConfigError: the work cannot be divided as the settings say.
        """
        config, layout = problem.config, problem.layout
        stages, embedded = config.stages, cluster.embedded
        units = UnitPlan.of(problem) if "downpour" in stages else None
        batch = "sandblaster" in stages
        return cls(
            parameters=problem.n_parameters,
            train=problem.n_train,
            heldout=problem.n_heldout,
            test=len(problem.data.test),
            servers=layout.n_servers,
            shards=layout.n_shards,
            block_numbers=layout.block_numbers,
            tables=len(layout.tables),
            processes=(cluster.processes or config.n_replicas) if embedded else None,
            steps=units.total_steps if units is not None else None,
            units=units.total_units if units is not None else None,
            pushes=_pushes(problem) if units is not None else None,
            portions=portions_of(problem) if batch else None,
            iterations=config.iterations if batch else None,
            memory=problem.memory,
        )

    def to_json(self) -> dict[str, Any]:
        document = asdict(self)
        return {**document, "demand": document.pop("memory")}

    def lines(self) -> list[str]:
        """The plan in words."""
        workers = (
            "workers that run there"
            if self.processes is None
            else f"1 embedded worker of {self.processes} processes"
        )
        need = self.memory
        return [
            f"{self.parameters:,} parameters in {self.shards} shards on {self.servers} servers, "
            f"in blocks of {self.block_numbers:,} numbers"
            + (f"; {self.tables} tensors are tables" if self.tables else ""),
            f"{self.train:,} training and {self.heldout:,} held-out examples"
            + (f", and {self.test:,} for the test" if self.test else ""),
            *self._work(),
            f"memory: some {bytes_text(need.servers)} on the servers in all, and "
            f"{bytes_text(need.process)} in each worker process",
            workers,
        ]

    def _work(self) -> list[str]:
        lines = []
        if self.pushes is not None:
            least, most = self.pushes
            pushes = f"{most:,}" if least == most else f"{least:,} to {most:,} (n_push is auto)"
            most_of = "at most " if self.portions is not None else ""
            lines.append(
                f"{most_of}{self.steps:,} steps in {self.units:,} units, {pushes} pushes on each "
                "shard"
            )
        if self.portions is not None:
            lines.append(f"{self.iterations:,} iterations at most, {self.portions:,} portions each")
        return lines


def _pushes(problem: Problem) -> tuple[int, int]:
    config = problem.config
    auto = config.n_push == config.n_fetch == "auto"
    longest = longest_interval(config, tables=bool(problem.layout.tables)) if auto else 1
    least, most = (
        UnitPlan.of(problem.with_interval(interval)).total_pushes for interval in (longest, 1)
    )
    return least, most
