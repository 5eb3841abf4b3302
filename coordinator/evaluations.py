"""Held-out evaluation by workers, on snapshots that the servers keep; the best one stays.

A snapshot is a copy of the parameters made on the servers: all parts of an evaluation
score the same numbers, whatever is pushed meanwhile, and the best model never has to
leave the servers before the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.keys import PARAMETERS, named
from app.models.metrics import Score, better
from app.store.contract import ShardStore
from coordinator.dispatch import Finished
from coordinator.job import Job
from coordinator.outcome import EndReason, Evaluation
from coordinator.session import Session

#: Examples in one evaluation task.
PART_EXAMPLES = 8192

BEST = named("best")


@dataclass
class _Current:
    number: int
    passes: float
    seconds: float
    vector: str
    missing: set[str]
    score: Score = field(default_factory=Score)


class Evaluations:
    """Runs one evaluation at a time and keeps the best snapshot on the servers."""

    def __init__(self, session: Session, job: Job, store: ShardStore) -> None:
        self._session, self._job, self._store = session, job, store
        self._current: _Current | None = None
        self.history: list[Evaluation] = []
        self.best: Evaluation | None = None

    @property
    def running(self) -> bool:
        return self._current is not None

    @property
    def since_best(self) -> int:
        """Evaluations after the best one."""
        return self.history[-1].number - self.best.number if self.best else 0

    def to_json(self) -> dict[str, Any]:
        """The history, for a coordinator that goes on."""
        best = self.best.number if self.best else None
        return {"history": [each.to_json() for each in self.history], "best": best}

    def adopt(self, document: Mapping[str, Any]) -> None:
        """Take the history of the coordinator before."""
        self.history = [Evaluation.from_json(each) for each in document["history"]]
        best = document["best"]
        self.best = next((each for each in self.history if each.number == best), None)

    def start(self, passes: float, seconds: float, source: str = PARAMETERS) -> None:
        """Take a snapshot of the vector ``source`` and have it scored."""
        number = len(self.history) + 1
        vector = named(f"evaluation{number}")
        self._store.copy(source, vector)
        parts = {}
        for start in range(0, self._job.n_heldout, PART_EXAMPLES):
            stop = min(start + PART_EXAMPLES, self._job.n_heldout)
            parts[f"evaluation-{number}-{stop}"] = {"vector": vector, "start": start, "stop": stop}
        self._current = _Current(number, passes, seconds, vector, set(parts))
        for unit, part in parts.items():
            self._session.dispatcher.submit("evaluation", unit, part)

    def take(self, finished: Finished) -> Evaluation | None:
        """Add one part's score; the evaluation, when this was its last part."""
        current = self._current
        if current is None or finished.unit not in current.missing:
            return None
        current.missing.remove(finished.unit)
        current.score += Score.from_json(finished.report)
        if current.missing:
            return None
        self._current = None
        return self._conclude(current)

    def abandon(self) -> None:
        """Stop the evaluation that is running, if any, and drop its snapshot."""
        if self._current is not None:
            self._session.dispatcher.abandon(sorted(self._current.missing))
            self._store.drop(self._current.vector)
            self._current = None

    def forget(self) -> None:
        """The evaluation that was running is lost, with its snapshot or its tasks."""
        self._current = None

    def rank(self) -> float | None:
        """How good the last evaluation was; higher is better."""
        if not self.history:
            return None
        metric = self.history[-1].score.metric(self._job.model.task)
        return metric if better(self._job.model.task, 1.0, 0.0) else -metric

    def collect(self, timeout_s: float) -> Evaluation | None:
        """Wait for parts up to ``timeout_s``; the evaluation if it is complete."""
        for finished in self._session.dispatcher.collect(timeout_s):
            if evaluation := self.take(finished):
                return evaluation
        return None

    def tell(self, evaluation: Evaluation) -> None:
        """Add an evaluation to the run's events."""
        self._session.tell(
            "evaluation",
            passes=evaluation.passes,
            seconds=evaluation.seconds,
            **evaluation.score.to_json(),
        )

    def reason_to_stop(self) -> EndReason | None:
        """Whether the held-out metric is good enough, or has stopped getting better."""
        config, task = self._session.config, self._job.model.task
        if config.target is not None and self.best is not None:
            metric = self.best.score.metric(task)
            if metric == config.target or better(task, metric, config.target):
                return EndReason.TARGET
        if config.patience is not None and self.since_best >= config.patience:
            return EndReason.PATIENCE
        return None

    def _conclude(self, current: _Current) -> Evaluation:
        evaluation = Evaluation(current.number, current.passes, current.seconds, current.score)
        self.history.append(evaluation)
        if self.best is None or self._beats(evaluation.score, self.best.score):
            self.best = evaluation
            self._store.copy(current.vector, BEST)
        self._store.drop(current.vector)
        return evaluation

    def _beats(self, new: Score, old: Score) -> bool:
        task = self._job.model.task
        a, b = new.metric(task), old.metric(task)
        return better(task, a, b) or (a == b and new.loss < old.loss)
