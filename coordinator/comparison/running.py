"""Makes the trials of a comparison one after another, each in a process of its own."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from distbelief.app.broker.messages import EVALUATION
from distbelief.app.files.documents import parse_object
from distbelief.app.settings.config import ClusterConfig
from distbelief.coordinator.cluster.endpoints import Endpoints
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.cluster.processes import Child, end, import_path
from distbelief.coordinator.comparison.folder import ComparisonFolder
from distbelief.coordinator.comparison.methods import method_of
from distbelief.coordinator.comparison.outcome import End, Outcome, Trial
from distbelief.coordinator.comparison.trial import Request
from distbelief.coordinator.doctor import preflight
from distbelief.coordinator.runs.messages import Messages

#: Beside its budget a trial starts, converts data, and scores what it has kept.
OVERHEAD_S = 300.0
LOOK_EVERY_S = 0.02
GRACE_S = 5.0

#: Workers that we start have at least so long to begin.
START_S = 60.0

WARM = "warm_start_steps"

MODULE = "distbelief.coordinator.comparison.trial"

#: More passes and iterations than any budget has room for, unless settings say fewer.
MANY = 1_000_000


@dataclass(frozen=True)
class Fleet:
    """Servers and workers that trials share; ``processes`` are those of ``n_workers`` workers."""

    endpoints: Endpoints
    n_workers: int
    processes: int


class Runner:
    """Makes trials.

    Args:
        folder: where outcomes are kept.
        settings: those that all trials have.
        cluster: the servers; where none are named they are started, with as many worker processes
            as a trial has replicas.
        budget_s: seconds that each trial trains.
        say: told a line for each trial.
    """

    def __init__(
        self,
        folder: ComparisonFolder,
        settings: Mapping[str, Any],
        cluster: ClusterConfig,
        budget_s: float,
        say: Callable[[str], None],
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._cluster = cluster
        self._budget_s = budget_s
        self._say = say

    def run(self, trials: Iterable[Trial], size: int, outcomes: dict[str, Outcome]) -> None:
        """Make those of ``size`` trials that are not among ``outcomes`` yet, and add them.

        A trial is asked for once the one before it has its outcome.

        Raises:
            NoWorkers, ServerError: there are no servers and workers to work on.
        """
        counted = enumerate(trials, 1)
        missing = ((number, trial) for number, trial in counted if trial.key not in outcomes)
        for processes, group in groupby(missing, lambda each: _processes(each[1])):
            with self._fleet(processes) as fleet:
                for number, trial in group:
                    began = time.monotonic()
                    load = os.getloadavg()[0]
                    outcome = replace(self._make(trial, fleet), load=load)
                    self._folder.keep(outcome)
                    outcomes[trial.key] = outcome
                    seconds = time.monotonic() - began
                    self._say(f"{number} of {size}: {told(outcome)} ({seconds:.1f} s)")

    @contextmanager
    def _fleet(self, processes: int) -> Iterator[Fleet | None]:
        """Servers and workers; started if none are named, None if none are needed."""
        if not processes:
            yield None
        elif not self._cluster.embedded:
            yield existing_fleet(self._cluster)
        else:
            logs, servers = self._folder.path / "logs", self._cluster.servers
            with (
                LocalCluster(servers=servers, processes=processes, folder=logs) as local,
                local.kept_alive(),
            ):
                at = ClusterConfig(
                    broker=local.endpoints.broker,
                    parameter_servers=local.endpoints.parameter_servers,
                    wait_seconds=max(START_S, self._cluster.wait_seconds),
                )
                yield existing_fleet(at)

    def _make(self, trial: Trial, fleet: Fleet | None) -> Outcome:
        """Make a trial in a process of its own; whatever ends that is an outcome."""
        with tempfile.TemporaryDirectory(prefix="request-", dir=self._folder.path) as name:
            place = Path(name)
            output = place / "outcome.json"
            request = Request(
                trial,
                settings_of(trial, self._settings, self._budget_s),
                self._budget_s,
                fleet.endpoints if fleet else None,
                fleet.n_workers if fleet else 0,
                str(output),
            )
            (place / "request.json").write_text(json.dumps(request.to_json()), "utf-8")
            why = self._run(place)
            try:
                return Outcome.from_json(parse_object(output.read_text("utf-8")))
            except (OSError, ValueError):
                return Outcome(trial, End.CRASHED, why, ())

    def _run(self, place: Path) -> str:
        """Run the process of a request to its end: why it has written no outcome, if so."""
        command = [sys.executable, "-P", "-m", MODULE, str(place / "request.json")]
        child = Child.start("trial", command, place, {**os.environ, "PYTHONPATH": import_path()})
        deadline = time.monotonic() + self._budget_s + OVERHEAD_S
        try:
            while child.process.poll() is None:
                if time.monotonic() > deadline:
                    return f"no end {OVERHEAD_S:g} s after its {self._budget_s:g} s"
                time.sleep(LOOK_EVERY_S)
        finally:
            end([child], GRACE_S)
        lines = child.log.read_text(errors="replace").splitlines()
        last = f": {lines[-1]}" if lines else ""
        return f"its process ended with exit code {child.process.returncode}{last}"


def settings_of(trial: Trial, settings: Mapping[str, Any], budget_s: float) -> dict[str, Any]:
    """The settings of a trial, those of all trials among them."""
    own = {"replicas": trial.replicas, "seed": trial.seed, "max_seconds": budget_s}
    if trial.rate is not None:
        own["learning_rate"] = trial.rate
    method = method_of(trial.method).settings
    # A warm start is what makes a method: settings say how long it is, and not of the others.
    common = {name: each for name, each in settings.items() if name != WARM or WARM in method}
    ends = {"passes": MANY, "iterations": MANY}
    return {**ends, **method, **common, **own}


def existing_fleet(cluster: ClusterConfig) -> Fleet:
    """The servers that are named, once workers listen there.

    Raises:
        NoWorkers: nobody does.
        ServerUnreachable: the control server does not answer.
    """
    endpoints = Endpoints.of(cluster)
    with closing(Messages(endpoints)) as messages:
        queues = {"downpour", "sandblaster", EVALUATION}
        workers = preflight.wait_for_workers(messages, queues, cluster.wait_seconds)
        return Fleet(endpoints, len(workers), max(1, messages.processes()))


def told(outcome: Outcome) -> str:
    """A line for people on a trial that is over."""
    text = f"{outcome.trial}: {outcome.why if outcome.end is End.ENDED else outcome.end}"
    if not outcome.points:
        return f"{text} ({outcome.why})" if outcome.end is not End.ENDED else text
    last = outcome.points[-1]
    return f"{text}; at its end {last.metric:.4g}, training loss {last.loss:.3g}"


def _processes(trial: Trial) -> int:
    """Worker processes that a trial needs."""
    return 0 if method_of(trial.method).alone else trial.replicas
