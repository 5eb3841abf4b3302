"""Sandblaster on embedded servers with a Celery worker: the product's own training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from distbelief.app.settings.config import configure
from distbelief.coordinator.problem.problem import prepare
from distbelief.coordinator.progress.callbacks import Callbacks
from distbelief.coordinator.progress.status import SandblasterStatus, Status
from distbelief.coordinator.training.training import train
from peers.descent import HISTORY, L2, ObjectiveTrace, data


@contextmanager
def contestant(options: dict[str, Any]) -> Iterator[Callable[[dict[str, Any]], dict[str, Any]]]:
    x, _ = data(options)

    def work(request: dict[str, Any]) -> dict[str, Any]:
        config, cluster = configure(
            {
                "algorithm": "sandblaster",
                "model": "softmax",
                "data": str(x),
                "holdout": 0.0,
                "l2": L2,
                "standardize": False,  # as the others
                "history": HISTORY,
                "iterations": request["iterations"],
                "gradient_tolerance": 0.0,
                "decrease_tolerance": 0.0,
                "folder": str(Path(options["folder"]) / "runs"),
                **options["settings"],
            }
        )
        watch = Watch()
        outcome = train(prepare(config, cluster.servers), cluster, Callbacks(watch.say, watch.show))
        answer = watch.answer()
        return {**answer, "driver_seconds": outcome.seconds}

    yield work


class Watch:
    """Notes when each iteration ended, from when the training itself began."""

    def __init__(self) -> None:
        self._trace, self._iteration, self.lines = ObjectiveTrace(), 0, list[str]()

    def say(self, line: str) -> None:
        self.lines.append(line)

    def show(self, status: Status) -> None:
        assert isinstance(status, SandblasterStatus)
        if status.iteration > self._iteration:
            self._iteration = status.iteration
            self._trace.points.append((status.seconds, status.loss))

    def answer(self) -> dict[str, Any]:
        points = self._trace.points
        return {"seconds": points[-1][0], "iterations": self._iteration, "course": points}
