"""What there is to say of a training at a moment, in words: for displays and for ``status``."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta

from coordinator.outcome import Evaluation
from coordinator.views.status import DownpourStatus, Outstanding, SandblasterStatus, Status, median
from coordinator.yardstick import Yardstick

#: A wait longer than this is shown; a unit is meant to take seconds.
WAIT_WORTH_SAYING_S = 3.0
UNIT_WORTH_SAYING_S = 15.0


def figures(status: Status, yardstick: Yardstick) -> Iterator[tuple[str, str]]:
    """Everything that there is to show of a moment, as (name, text)."""
    if isinstance(status, DownpourStatus):
        yield from _downpour(status, yardstick)
    else:
        yield from _sandblaster(status, yardstick)


def _downpour(status: DownpourStatus, yardstick: Yardstick) -> Iterator[tuple[str, str]]:
    yield "pass", f"{status.passes:.1f}/{status.total_passes}"
    yield "steps/s", f"{status.steps_per_second:,.0f}"
    yield "loss", _number(status.training_loss)
    if status.evaluation is not None:
        yield "held-out", score_text(status.evaluation, yardstick)
    yield "updates", _counts([shard.applied for shard in status.shards])
    if status.refused:
        yield "refused", str(status.refused)
    worst = max(status.staleness, default=0)
    yield "staleness", f"median {median(status.staleness)}, worst {worst}"
    if status.waited_s:
        yield "waited", f"{status.waited_s:.1f} s for slower replicas"
    if status.resent:
        yield "sent again", str(status.resent)
    if status.oldest is not None and status.idle_s > WAIT_WORTH_SAYING_S:
        yield "waiting", f"{status.idle_s:.0f} s for a worker to take {status.oldest.name}"
    elif status.oldest is not None and status.oldest.seconds > UNIT_WORTH_SAYING_S:
        yield "waiting", _awaited(status.oldest)
    left = status.seconds_left
    yield "left", "?" if left is None else str(timedelta(seconds=round(left)))


def _sandblaster(status: SandblasterStatus, yardstick: Yardstick) -> Iterator[tuple[str, str]]:
    yield "iteration", f"{status.iteration}/{status.total_iterations}"
    yield "loss", _number(status.loss)
    yield "gradient", _number(status.gradient_norm)
    yield "step", f"{status.step:.3g}"
    if status.nonzeros is not None:
        yield "non-zero weights", f"{status.nonzeros:,} of {status.n_weights:,}"
    yield "evaluations", str(status.evaluations)
    if status.evaluation is not None:
        yield "held-out", score_text(status.evaluation, yardstick)
    yield (
        "portions",
        f"{status.portions_done}/{status.n_portions} done, "
        f"{status.portions_outstanding} outstanding, {status.portions_per_second:.0f}/s",
    )
    yield "backups", f"{status.tally.sent} sent, {status.tally.won} won"
    if status.tally.retries:
        yield "retries", str(status.tally.retries)
    if status.slow is not None and status.slow.seconds > WAIT_WORTH_SAYING_S:
        yield "waiting", _awaited(status.slow)


def _awaited(work: Outstanding) -> str:
    where = f" on {work.worker}" if work.worker else ""
    return f"{work.seconds:.0f} s for {work.name}{where}"


def score_text(evaluation: Evaluation, yardstick: Yardstick) -> str:
    """A held-out score in words."""
    lost = " (lost: the control server was restarted)" if evaluation.auc_lost else ""
    return yardstick.text(evaluation.score) + lost


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4g}"


def _counts(counts: list[int]) -> str:
    """Each shard's count while they fit, else the range."""
    if len(counts) > 8:
        return f"{min(counts)} to {max(counts)} on {len(counts)} shards"
    return "/".join(map(str, counts)) or "-"
