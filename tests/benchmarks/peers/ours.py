"""Our training as ``python -m coordinator train`` runs it: servers, worker and driver, embedded.

The clock begins when the first screen has been shown: servers and workers are up, nothing is on
the shards yet. The creation of the shards and the workers' first look at their data are inside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contest.clock import Clock
from distbelief.app.settings.config import configure
from distbelief.coordinator.problem.problem import prepare
from distbelief.coordinator.progress.callbacks import Callbacks
from distbelief.coordinator.progress.outcome import Outcome
from distbelief.coordinator.progress.status import Status
from distbelief.coordinator.training.training import train

#: Told of each status, with the clock.
Watch = Callable[[Status, Clock], None]


@dataclass
class Watched:
    """The training's display: hands on what it is shown."""

    watch: Watch
    clock: Clock = field(default_factory=Clock)
    began: bool = False

    def say(self, line: str) -> None:
        print(line, flush=True)  # the log
        if not self.began:
            self.clock = Clock()

    def show(self, status: Status) -> None:
        self.began = True
        self.watch(status, self.clock)


def run(settings: dict[str, Any], folder: str, watch: Watch) -> Outcome:
    """Train with ``settings``, as a TOML file would have them."""
    config, cluster = configure({"folder": str(Path(folder) / "runs"), **settings})
    problem = prepare(config, cluster.servers)
    watched = Watched(watch)
    return train(problem, cluster, Callbacks(watched.say, watched.show))
