"""What a training will be, known before anything is started: cuts, work, memory."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from distbelief.app.settings.config import ClusterConfig
from distbelief.coordinator.downpour import intervals
from distbelief.coordinator.problem.memory_estimate import Demand, bytes_text, demand
from distbelief.coordinator.problem.problem import Problem


@dataclass(frozen=True)
class Plan:
    """A training in figures.

    ``pushes`` is (least, most): as long as ``n_push`` is to be chosen they differ. ``portions``
    is Sandblaster's; what only Downpour has is None there, and the other way round.
    """

    parameters: int
    train: int
    heldout: int
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
    demand: Demand

    @classmethod
    def of(cls, problem: Problem, cluster: ClusterConfig) -> Plan:
        config, layout, plan = problem.config, problem.layout, problem.plan
        embedded = cluster.broker is None
        return cls(
            parameters=problem.n_parameters,
            train=problem.n_train,
            heldout=problem.n_heldout,
            servers=layout.n_servers,
            shards=layout.n_shards,
            block_numbers=layout.block_numbers,
            tables=len(layout.tables),
            processes=(cluster.processes or config.replicas) if embedded else None,
            steps=plan.total_steps if plan is not None else None,
            units=plan.total_units if plan is not None else None,
            pushes=_pushes(problem),
            portions=problem.portions,
            iterations=None if plan is not None else config.iterations,
            demand=demand(config, layout, problem.footprint),
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> list[str]:
        """The same for people."""
        workers = (
            "workers that run there"
            if self.processes is None
            else f"1 embedded worker of {self.processes} processes"
        )
        need = self.demand
        return [
            f"{self.parameters:,} parameters in {self.shards} shards on {self.servers} servers, "
            f"in blocks of {self.block_numbers:,} numbers"
            + (f"; {self.tables} tensors are tables" if self.tables else ""),
            f"{self.train:,} training and {self.heldout:,} held-out examples",
            *self._work(),
            f"memory: some {bytes_text(need.servers)} on the servers in all, and "
            f"{bytes_text(need.process)} in each worker process",
            workers,
        ]

    def _work(self) -> list[str]:
        if self.pushes is None:
            return [f"{self.iterations:,} iterations at most, {self.portions:,} portions each"]
        least, most = self.pushes
        pushes = f"{most:,}" if least == most else f"{least:,} to {most:,} (n_push is auto)"
        return [f"{self.steps:,} steps in {self.units:,} units, {pushes} pushes on each shard"]


def _pushes(problem: Problem) -> tuple[int, int] | None:
    if problem.plan is None:
        return None
    config = problem.config
    auto = config.n_push == config.n_fetch == "auto"
    longest = intervals.longest(config, tables=bool(problem.layout.tables)) if auto else 1
    of = [problem.with_interval(interval).plan for interval in (longest, 1)]
    least, most = (plan.total_pushes for plan in of if plan is not None)
    return least, most
