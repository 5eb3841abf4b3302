"""Held-out evaluation by workers, on snapshots that the servers keep; the best one stays.

A snapshot is a copy of the parameters made on the servers: all parts of an evaluation
score the same numbers, whatever is pushed meanwhile, and the best model never has to
leave the servers before the end.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from distbelief.app.layout.keys import BEST, PARAMETERS, control, named
from distbelief.app.models.auc import AucBy, Ranks
from distbelief.app.models.criterion import better
from distbelief.app.models.metrics import Score
from distbelief.app.runs import blobs
from distbelief.app.runs.damage import understood
from distbelief.app.store.contract.parameters import ShardStore
from distbelief.app.store.contract.standings import Standings, from_json, to_json
from distbelief.coordinator.problem.problem import Problem
from distbelief.coordinator.progress.outcome import EndReason, HeldoutEvaluation
from distbelief.coordinator.runs.dispatch import Finished
from distbelief.coordinator.runs.session import Session

#: Examples in one evaluation task.
PART_EXAMPLES = 8192


@dataclass
class _Current:
    number: int
    passes: float
    seconds: float
    vector: str
    parts: list[str]
    missing: set[str]
    score: Score = field(default_factory=Score)


class HeldoutEvaluations:
    """Runs one evaluation at a time and keeps the best snapshot on the servers."""

    def __init__(self, session: Session, problem: Problem, store: ShardStore) -> None:
        self._session = session
        self._problem = problem
        self._store = store
        self._metric = problem.score_formatter.metric
        self._auc = AucBy.of(problem.score_formatter.task, problem.n_heldout)
        self._current: _Current | None = None
        self.history: list[HeldoutEvaluation] = []
        self.best: HeldoutEvaluation | None = None
        #: Where the shards stand since they have the best snapshot.
        self.best_known: Standings = ()

    def last_at(self, passes: float) -> HeldoutEvaluation | None:
        """The last evaluation, if it was made there and not before."""
        last = self.history[-1] if self.history else None
        return last if last is not None and last.passes == passes else None

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
        history = [each.to_json() for each in self.history]
        return {"history": history, "best": best, "best_known": to_json(self.best_known)}

    def load_state(self, document: Mapping[str, Any]) -> None:
        """Load the history of the coordinator before."""
        self.history = [HeldoutEvaluation.from_json(each) for each in document["history"]]
        best = document["best"]
        self.best = next((each for each in self.history if each.number == best), None)
        self.best_known = from_json(document.get("best_known"), self._store.layout.n_shards)

    def start(self, passes: float, seconds: float, source: str = PARAMETERS) -> None:
        """Take a snapshot of the vector ``source`` and have it scored."""
        number = len(self.history) + 1
        vector = named(f"evaluation{number}")
        self._store.copy(source, vector)
        known = to_json(self._store.standings)
        parts, whole = {}, {"vector": vector, "known": known, "auc": self._auc}
        for start in range(0, self._problem.n_heldout, PART_EXAMPLES):
            stop = min(start + PART_EXAMPLES, self._problem.n_heldout)
            parts[f"evaluation-{number}-{stop}"] = whole | {"start": start, "stop": stop}
        self._current = _Current(number, passes, seconds, vector, list(parts), set(parts))
        for unit, part in parts.items():
            self._session.dispatcher.submit("evaluation", unit, part)

    def take(self, finished: Finished) -> HeldoutEvaluation | None:
        """Add one part's score; the evaluation, when this was its last part."""
        current = self._current
        if current is None or finished.unit not in current.missing:
            return None
        current.missing.remove(finished.unit)
        current.score = finished.read(lambda found: current.score + Score.from_json(found))
        if current.missing:
            return None
        self._current = None
        return self._conclude(current)

    def abandon(self) -> None:
        """Stop the evaluation that is running, if any, and drop its snapshot."""
        if self._current is not None:
            self._session.dispatcher.abandon(sorted(self._current.missing))
            self._clear_blobs()
            self._store.drop(self._current.vector)
            self._current = None

    def forget(self) -> float | None:
        """Forget the evaluation that was running, whose snapshot or tasks are lost.

        Returns after how many passes it was to be, None if there was none. What its tasks laid
        down went when the ledger was cleared for a new fence.
        """
        current, self._current = self._current, None
        return current.passes if current is not None else None

    def lose_best(self, number: int | None) -> None:
        """Note that the best snapshot is that of an earlier evaluation now, or none."""
        self.best = next((each for each in self.history if each.number == number), None)
        self.best_known = self._store.standings

    def rank(self) -> float | None:
        """The metric of the last evaluation, turned so that higher is better."""
        if not self.history:
            return None
        score = self.history[-1].score
        value = score.metric(self._metric)
        if math.isnan(value):
            return -score.loss
        return -value if self._metric.lower_is_better else value

    def collect(self, timeout_s: float) -> HeldoutEvaluation | None:
        """Wait for parts up to ``timeout_s``; the evaluation if it is complete."""
        for finished in self._session.dispatcher.collect(timeout_s):
            if evaluation := self.take(finished):
                return evaluation
        return None

    def tell(self, evaluation: HeldoutEvaluation) -> None:
        """Add an evaluation to the run's events."""
        self._session.tell(
            "evaluation",
            number=evaluation.number,
            passes=evaluation.passes,
            seconds=evaluation.seconds,
            **evaluation.slim().score.to_json(),
            measures=self._problem.score_formatter.measures(evaluation.score),
        )

    def reason_to_stop(self) -> EndReason | None:
        """Whether the held-out metric is good enough, or has stopped getting better."""
        config = self._session.config
        if config.target is not None and self.best is not None:
            value = self.best.score.metric(self._metric)
            if value == config.target or better(self._metric, value, config.target):
                return EndReason.TARGET
        if config.patience is not None and self.since_best >= config.patience:
            return EndReason.PATIENCE
        return None

    def _conclude(self, current: _Current) -> HeldoutEvaluation:
        evaluation = self._with_auc(current)
        self.history.append(evaluation)
        if self.best is None or self._beats(evaluation.score, self.best.score):
            self.best = evaluation
            self._store.copy(current.vector, BEST)
            self.best_known = self._store.standings
        self._store.drop(current.vector)
        whole = (self.best.number, evaluation.number)
        self.history = [each if each.number in whole else each.slim() for each in self.history]
        return evaluation

    def _with_auc(self, current: _Current) -> HeldoutEvaluation:
        found = HeldoutEvaluation(current.number, current.passes, current.seconds, current.score)
        if self._auc is AucBy.HISTOGRAM:
            return replace(found, score=found.score.with_histogram_auc())
        if self._auc is AucBy.NONE:
            return found
        server, run = self._session.control, self._session.record.run
        parts = [part for part in blobs.read(server, run, current.parts) if part is not None]
        self._clear_blobs()
        if len(parts) < len(current.parts):  # the server was restarted: worth no run
            return replace(found, auc_lost=True)
        with understood(server.key(control(run, "deposits"))):
            return replace(found, score=replace(found.score, auc=Ranks.unpack(parts).auc()))

    def _clear_blobs(self) -> None:
        if self._auc is AucBy.RANKS:
            blobs.clear(self._session.control, self._session.record.run)

    def _beats(self, new: Score, old: Score) -> bool:
        a, b = new.metric(self._metric), old.metric(self._metric)
        same = a == b or (math.isnan(a) and math.isnan(b))  # undefined: AUC of one class
        return better(self._metric, a, b) or (same and new.loss < old.loss)
