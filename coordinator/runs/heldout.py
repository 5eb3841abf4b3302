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
from distbelief.app.models.metric import better
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


@dataclass(frozen=True)
class _Part:
    """Held-out examples ``start`` to ``stop``: in one task, or what a task had no time for."""

    start: int
    stop: int
    rest: bool = False

    @property
    def name(self) -> str:
        return f"{self.stop}-from-{self.start}" if self.rest else f"{self.stop}"

    def after(self, score: Score) -> _Part | None:
        """What is left of it once its first examples are scored; raises ValueError."""
        reached = self.start + score.n_examples
        if not self.start < reached <= self.stop:
            raise ValueError(f"n_examples = {score.n_examples}")
        return _Part(reached, self.stop, rest=True) if reached < self.stop else None


@dataclass
class _Current:
    """The evaluation that is running.

    ``waiting`` are the parts that are not sent, ``missing`` those that are out, by their units;
    ``units`` are all that were sent.
    """

    number: int
    passes: float
    seconds: float
    vector: str
    told: Mapping[str, Any]
    waiting: list[_Part]
    missing: dict[str, _Part] = field(default_factory=dict)
    units: list[str] = field(default_factory=list)
    score: Score = field(default_factory=Score)


class HeldoutEvaluations:
    """Runs one evaluation at a time and keeps the best snapshot on the servers.

    Args:
        session: the run.
        problem: what it trains.
        store: where the parameters are.
        workers: processes that there are. Where somebody else's tasks wait behind ours, no more
            parts are out at a time.
    """

    def __init__(self, session: Session, problem: Problem, store: ShardStore, workers: int) -> None:
        short = problem.config.unit_seconds is not None
        self._most_out = workers if short else math.inf
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
        told = {"vector": vector, "known": to_json(self._store.standings), "auc": self._auc}
        n_heldout = self._problem.n_heldout
        parts = [
            _Part(start, min(start + PART_EXAMPLES, n_heldout))
            for start in range(0, n_heldout, PART_EXAMPLES)
        ]
        self._current = _Current(number, passes, seconds, vector, told, parts)
        self._send(self._current)

    def _send(self, current: _Current) -> None:
        """Send the parts that may be out now."""
        while current.waiting and len(current.missing) < self._most_out:
            part = current.waiting.pop(0)
            unit = f"evaluation-{current.number}-{part.name}"
            current.units.append(unit)
            current.missing[unit] = part
            told = {**current.told, "start": part.start, "stop": part.stop}
            self._session.dispatcher.submit("evaluation", unit, told)

    def take(self, finished: Finished) -> HeldoutEvaluation | None:
        """Add one part's score; the evaluation, when this was its last part."""
        current = self._current
        if current is None or finished.unit not in current.missing:
            return None
        part = current.missing.pop(finished.unit)
        found, rest = finished.read(lambda report: _read(report, part))
        current.score += found
        if rest is not None:
            current.waiting.insert(0, rest)
        self._send(current)
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
            self._store.rename(current.vector, BEST)
            self.best_known = self._store.standings
        else:
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
        parts = [part for part in blobs.read(server, run, current.units) if part is not None]
        self._clear_blobs()
        if len(parts) < len(current.units):  # the server was restarted: worth no run
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


def _read(report: dict[str, Any], part: _Part) -> tuple[Score, _Part | None]:
    """The score that a worker found, and what it had no time for."""
    score = Score.from_json(report)
    return score, part.after(score)
