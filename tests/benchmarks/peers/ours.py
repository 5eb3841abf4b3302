"""Our training as ``python -m coordinator train`` runs it: servers, worker and driver, embedded.

The clock begins when the first screen has been shown: servers and workers are up, nothing is on
the shards yet. The creation of the shards and the workers' first look at their data are inside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.config import configure
from contest.clock import Clock
from coordinator.job import prepare
from coordinator.outcome import Outcome
from coordinator.training import train
from coordinator.views.displays import Display
from coordinator.views.status import Status

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
    job = prepare(config, cluster.servers)
    watched = Watched(watch)
    return train(job, cluster, Display(watched.say, watched.show))
