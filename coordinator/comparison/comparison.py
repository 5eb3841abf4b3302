"""A comparison: what is to be compared, checked before anything starts, and its trials."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from distbelief.app.client.addresses import address
from distbelief.app.errors import ConfigError
from distbelief.app.models.imports import allow_imports_of
from distbelief.app.models.metric import Metric
from distbelief.app.settings.config import ClusterConfig, configure
from distbelief.coordinator.comparison.folder import ComparisonFolder
from distbelief.coordinator.comparison.methods import Method, known_methods, methods_of
from distbelief.coordinator.comparison.outcome import Outcome, Trial
from distbelief.coordinator.comparison.plan import Grid
from distbelief.coordinator.comparison.running import Runner, existing_fleet, settings_of
from distbelief.coordinator.comparison.summary import Summary, summarise
from distbelief.coordinator.problem.problem import Problem, prepare
from distbelief.coordinator.report.secrets import without_secrets

#: Settings that a comparison has in a flag of its own, or that make its methods.
OWN = {
    "algorithm": "--methods",
    "optimizer": "--methods",
    "learning_rate": "--rates",
    "replicas": "--replicas",
    "seed": "--seeds",
    "max_seconds": "--budget",
    "target": "--target",
    "folder": "--folder",
}

#: Beside its budget a trial takes some seconds to start and to be scored.
AROUND_S = 3.0


@dataclass(frozen=True)
class Facts:
    """What is compared on, in words and numbers; ``l2`` is the one that all methods have."""

    data: str
    model: str
    parameters: int
    train: int
    heldout: int
    metric: Metric
    l2: float
    cores: int
    machine: str

    @classmethod
    def of(cls, problem: Problem) -> Facts:
        config = problem.config
        return cls(
            config.data,
            config.model,
            problem.n_parameters,
            problem.n_train,
            problem.n_heldout,
            problem.score_formatter.metric,
            config.l2 or 0.0,
            os.cpu_count() or 1,
            f"{platform.machine()}, {platform.system()}",
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Comparison:
    """One problem, and the trials by which ways of training it are compared.

    ``command`` is the command that makes it.
    """

    settings: Mapping[str, Any]
    cluster: ClusterConfig
    grid: Grid
    budget_s: float
    folder: ComparisonFolder
    facts: Facts
    command: str = ""
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        settings: Mapping[str, Any],
        cluster: Mapping[str, Any],
        *,
        methods: Sequence[str] = (),
        replicas: Sequence[str],
        rates: Sequence[str],
        n_seeds: int,
        budget_s: float,
        folder: Path,
        command: str = "",
    ) -> Self:
        """Check what is asked for, and open the data.

        Raises:
            ConfigError: a setting, a method, or one of the numbers is none.
            DataError, ModelError: as a training raises them.
            NoWorkers, ServerError: servers are named, and nobody works there.
        """
        for name in settings:
            if name in OWN:
                raise ConfigError(f"{name} is not a setting of all trials: {OWN[name]} says it")
        wanted = methods_of(methods or [method.name for method in known_methods()])
        _check(wanted, settings)
        where = configure(cluster)[1]
        counts, tried = _numbers("replicas", replicas, int), _numbers("rates", rates, float)
        problem = _problem(settings)
        if not problem.n_heldout:
            raise ConfigError("a comparison needs held-out examples: set holdout above 0")
        processes = None if where.embedded else existing_fleet(where).processes
        grid = Grid(wanted, [int(each) for each in counts], n_seeds, tried, processes)
        facts = Facts.of(problem)
        whole = {**settings, "l2": facts.l2}
        return cls(whole, where, grid, budget_s, ComparisonFolder(folder), facts, command)

    def run(self, say: Callable[[str], None]) -> None:
        """Make the trials that are not there yet; raises as :meth:`Runner.run` does."""
        self.folder.begin(self._specification())
        self.outcomes.update(self.folder.outcomes())
        missing = sum(trial.key not in self.outcomes for trial in self.grid.trials(self.outcomes))
        kept = f", {self.grid.size - missing} are there already" if missing < self.grid.size else ""
        minutes = math.ceil(missing * (self.budget_s + AROUND_S) / 60)
        plural = "s" if minutes != 1 else ""
        say(f"{self.grid.size} trials{kept}: about {minutes} minute{plural} at most")
        runner = Runner(self.folder, self.settings, self.cluster, self.budget_s, say)
        runner.run(self.grid.trials(self.outcomes), self.grid.size, self.outcomes)

    def summary(self, target: float | None, target_loss: float | None) -> Summary:
        """Summarise what is there; targets that are not given follow from it."""
        return summarise(self.grid, self.outcomes, self.facts.metric, target, target_loss)

    def _specification(self) -> dict[str, Any]:
        """What trials in one folder have in common."""
        servers = [address(url) for url in self.cluster.parameter_servers]
        return {
            "settings": without_secrets(dict(self.settings)),
            "budget_s": self.budget_s,
            "servers": servers or self.cluster.servers,
        }


def _check(methods: Sequence[Method], settings: Mapping[str, Any]) -> None:
    """Raise ConfigError if a method cannot have these settings: before any trial is made."""
    for method in methods:
        try:
            if not method.alone:
                configure(settings_of(Trial(method.name, 1, None, 0), settings, 1.0))
        except ConfigError as error:
            raise ConfigError(
                f"method {method.name}: {error}; or leave it out of --methods"
            ) from None


def _problem(settings: Mapping[str, Any]) -> Problem:
    """The problem as all methods have it.

    An L2 term that is not given is that of Sandblaster, which needs one more than the others.
    """
    config, _ = configure({**settings, "algorithm": "sandblaster"})
    allow_imports_of(config)
    return prepare(config, 1)


def _numbers(flag: str, words: Sequence[str], kind: Callable[[str], float]) -> list[float]:
    """Numbers above 0, ascending, each once; raises ConfigError."""
    try:
        found = sorted({kind(word) for word in words})
    except ValueError:
        found = []
    if not found or not found[0] > 0 or not found[-1] < 1e9:
        raise ConfigError(
            f"--{flag} takes {'whole ' if kind is int else ''}numbers above 0 with commas between "
            f"them, got '{','.join(words)}'"
        )
    return found
