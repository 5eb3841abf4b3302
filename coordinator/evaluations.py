"""Held-out evaluation by workers, on snapshots that the servers keep; the best one stays.

A snapshot is a copy of the parameters made on the servers: all parts of an evaluation
score the same numbers, whatever is pushed meanwhile, and the best model never has to
leave the servers before the end.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from app.keys import PARAMETERS, named
from app.models.metrics import Score, better
from coordinator.dispatch import Finished
from coordinator.outcome import Evaluation
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

    def __init__(self, session: Session) -> None:
        self._session = session
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

    def start(self, passes: float, seconds: float) -> None:
        """Take a snapshot and have it scored."""
        number = len(self.history) + 1
        vector = named(f"evaluation{number}")
        self._session.store.copy(PARAMETERS, vector)
        parts = {}
        for start in range(0, self._session.n_heldout, PART_EXAMPLES):
            stop = min(start + PART_EXAMPLES, self._session.n_heldout)
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

    def _conclude(self, current: _Current) -> Evaluation:
        evaluation = Evaluation(current.number, current.passes, current.seconds, current.score)
        self.history.append(evaluation)
        if self.best is None or self._beats(evaluation.score, self.best.score):
            self.best = evaluation
            self._session.store.copy(current.vector, BEST)
        self._session.store.drop(current.vector)
        return evaluation

    def _beats(self, new: Score, old: Score) -> bool:
        task = self._session.model.task
        a, b = new.metric(task), old.metric(task)
        return better(task, a, b) or (a == b and new.loss < old.loss)
