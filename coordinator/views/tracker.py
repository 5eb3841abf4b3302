"""From what a training tells, status by status, to the snapshots that screens draw."""

from __future__ import annotations

import math
import time

from distbelief.coordinator.progress.events import Event
from distbelief.coordinator.progress.outcome import HeldoutEvaluation
from distbelief.coordinator.progress.scores import ScoreFormatter
from distbelief.coordinator.progress.status import (
    DownpourStatus,
    Outstanding,
    SandblasterStatus,
    Status,
    median,
)
from distbelief.coordinator.views.series import DownsampledSeries, Throughput
from distbelief.coordinator.views.snapshot import (
    DownpourPart,
    HeldoutProgress,
    ProgressSnapshot,
    SandblasterPart,
    Speed,
    finite_or_none,
)

#: A wait longer than this is shown; a unit is meant to take seconds.
WAIT_WORTH_SAYING_S = 3.0
UNIT_WORTH_SAYING_S = 15.0

#: With more shards only the least and the most of their clocks are told.
MOST_SHARDS = 8

#: Events that are news: something went another way than planned.
NEWS = ("resent", "lost", "restored", "handover")


class ProgressTracker:
    """Sees every status, which has to be cheap, and makes a snapshot when one is wanted."""

    def __init__(self, score_formatter: ScoreFormatter) -> None:
        self._score_formatter = score_formatter
        self._loss = math.nan
        self._losses = DownsampledSeries()
        self._heldouts = DownsampledSeries()
        self._speed = Throughput()
        self._scored = 0
        self._kind: type[Status] | None = None
        self._news = ""

    def hear(self, event: Event) -> None:
        """Remember the last news."""
        if event.kind in NEWS:
            at = time.strftime("%H:%M:%S", time.localtime(event.at))
            self._news = f"{at} {_news(event)}"

    def see(self, status: Status) -> None:
        """Go on with a status."""
        if self._kind not in (None, type(status)):  # another method counts examples anew
            self._speed.begin_again(status.seconds)
        self._kind = type(status)
        if status.loss != self._loss:
            self._losses.add(status.loss)
            self._loss = status.loss
        found = status.evaluation
        if found is not None and found.number != self._scored:
            self._heldouts.add(found.score.metric(self._score_formatter.metric))
            self._scored = found.number
        self._speed.note(status.seconds, status.examples, status.steps, warming=status.warming)

    def snapshot(self, status: Status) -> ProgressSnapshot:
        """Make a snapshot of ``status``, the last one that was seen."""
        now = self._speed.now
        down = status if isinstance(status, DownpourStatus) else None
        sand = status if isinstance(status, SandblasterStatus) else None
        return ProgressSnapshot(
            method=_method(status),
            unit="pass" if down else "iteration",
            seconds=status.seconds,
            done=status.done,
            total=status.total,
            left_s=_left(status, now),
            at_most=down is None or status.limit_s is not None,
            loss=finite_or_none(self._loss),
            losses=self._losses.points,
            heldout=self._heldout(status.evaluation, status.best),
            speed=now,
            first_speed=self._speed.first,
            speeds=self._speed.points,
            workers=status.workers,
            wanted=status.wanted,
            waiting=_waiting(status),
            news=self._news,
            downpour=_downpour(down) if down else None,
            sandblaster=_sandblaster(sand, now) if sand else None,
        )

    def _heldout(
        self, last: HeldoutEvaluation | None, best: HeldoutEvaluation | None
    ) -> HeldoutProgress | None:
        if last is None:
            return None
        metric = self._score_formatter.metric
        return HeldoutProgress(
            number=last.number,
            metric=metric,
            value=finite_or_none(last.score.metric(metric)),
            best=finite_or_none(best.score.metric(metric)) if best is not None else None,
            text=score_text(last, self._score_formatter),
            course=self._heldouts.points,
            best_at=best.passes if best is not None else None,
            since_best=last.number - best.number if best is not None else 0,
        )


def _news(event: Event) -> str:
    told = event.fields
    if event.kind == "resent":
        last = f" after {told['worker']}" if told["worker"] else ""
        return f"{told['unit']} sent again{last}"
    if event.kind == "handover":
        return f"L-BFGS goes on after {told['passes']:.3g} passes: {told['why']}"
    return f"{event.kind}: {told['what']}"


def score_text(evaluation: HeldoutEvaluation, score_formatter: ScoreFormatter) -> str:
    """A held-out score in words."""
    lost = " (lost: the control server was restarted)" if evaluation.auc_lost else ""
    return score_formatter.text(evaluation.score) + lost


def _method(status: Status) -> str:
    if isinstance(status, DownpourStatus):
        return "Downpour SGD" + (", warm start" if status.warming else "")
    return f"Sandblaster {'L-BFGS' if status.nonzeros is None else 'OWL-QN'}"


def _left(status: Status, speed: Speed) -> float | None:
    """Until the end at the speed of the last seconds, but not beyond the limit."""
    steps, ends = status.total_steps - status.steps, list[float]()
    if speed.steps > 0 or not steps:
        ends.append(steps / speed.steps if steps else 0.0)
    if status.limit_s is not None:
        ends.append(max(0.0, status.limit_s - status.seconds))
    return min(ends, default=None)


def _waiting(status: Status) -> str:
    if isinstance(status, SandblasterStatus):
        slow = status.slow
        return _awaited(slow) if slow is not None and slow.seconds > WAIT_WORTH_SAYING_S else ""
    if status.oldest is not None and status.idle_s > WAIT_WORTH_SAYING_S:
        return f"{status.idle_s:.0f} s for a worker to take {status.oldest.name}"
    if status.oldest is not None and status.oldest.seconds > UNIT_WORTH_SAYING_S:
        return _awaited(status.oldest)
    return ""


def _awaited(work: Outstanding) -> str:
    where = f" on {work.worker}" if work.worker else ""
    return f"{work.seconds:.0f} s for {work.name}{where}"


def _downpour(status: DownpourStatus) -> DownpourPart:
    applied = [shard.applied for shard in status.shards]
    return DownpourPart(
        shards=len(applied),
        applied=applied if len(applied) <= MOST_SHARDS else (min(applied), max(applied)),
        refused=max((shard.refused for shard in status.shards), default=0),
        staleness_median=median(status.staleness),
        staleness_worst=max(status.staleness, default=0),
        units_out=status.units_in_flight,
        resent=status.resent,
        waited_s=status.waited_s,
        warming=status.warming,
        goodput=finite_or_none(status.goodput),
        bytes_a_step=finite_or_none(status.network.bytes_a_step),
        network_share=finite_or_none(status.network.waiting),
    )


def _sandblaster(status: SandblasterStatus, speed: Speed) -> SandblasterPart:
    tally = status.tally
    # Examples are counted in whole portions.
    per_portion = status.examples / tally.portions if tally.portions else math.inf
    return SandblasterPart(
        gradient_norm=finite_or_none(status.gradient_norm),
        step=status.step,
        nonzeros=status.nonzeros,
        weights=status.n_weights,
        evaluations=status.evaluations,
        portions=status.n_portions,
        portions_done=status.portions_done,
        portions_out=status.portions_outstanding,
        portions_per_second=speed.examples / per_portion if per_portion else 0.0,
        backups_sent=tally.sent,
        backups_won=tally.won,
        retries=tally.retries,
    )
