"""Our Downpour."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from contest.clock import Clock
from distbelief.coordinator.progress.status import DownpourStatus, Status
from peers.digits import Budget, Digits, Record
from peers.ours import run

NEVER = 1e9  # passes


class Observer:
    """Notes each new evaluation, and answers as soon as the training has reached its end."""

    def __init__(self, budget: Budget) -> None:
        self._budget, self._seen = budget, 0
        self._record: Record | None = None
        self.answer: dict[str, Any] | None = None

    def watch(self, status: Status, clock: Clock) -> None:
        assert isinstance(status, DownpourStatus)
        if self.answer is not None:
            return
        record = self._record = self._record or Record(self._budget, clock)
        new, reached = status.evaluation, False
        if self._budget.target is not None and new is not None and new.number > self._seen:
            self._seen = new.number
            reached = record.judge(status.steps, new.score.accuracy)
        if reached or (self._budget.target is None and status.steps == status.total_steps):
            self.answer = record.answer(status.steps)

    def final(self) -> dict[str, Any]:
        """The answer of a training that has ended without reaching the target."""
        assert self._record is not None
        return self._record.answer(self._record.trace[-1][0])


def train(options: dict[str, Any], digits: Digits, budget: Budget) -> dict[str, Any]:
    passes = budget.minibatches * digits.batch / len(digits.x)
    every = budget.every * digits.batch / len(digits.x)
    settings = {
        **options["settings"],
        "passes": round(passes),
        "evaluate_every": every if budget.target is not None else NEVER,
        **({"target": budget.target} if budget.target is not None else {}),
    }
    observer = Observer(budget)
    run(settings, options["folder"], observer.watch)
    return observer.answer or observer.final()


@contextmanager
def contestant(options: dict[str, Any]) -> Iterator[Callable[[dict[str, Any]], dict[str, Any]]]:
    digits = Digits.load(options)
    yield lambda request: train(options, digits, Budget.of(request))
