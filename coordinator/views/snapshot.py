"""A training at a moment, as a document that screens here and on other terminals draw.

It is small, whatever the run is: series have at most :data:`MOST_POINTS` numbers. Numbers
that are unknown, or not finite, are None, so that it is JSON for everybody.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

MOST_POINTS = 60

Points = tuple[float, ...]


class SnapshotPart(BaseModel):
    """A part of the document; that of a newer version may have more fields."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Speed(SnapshotPart):
    """Per second; a step is a minibatch of Downpour, or an iteration of Sandblaster."""

    examples: float
    steps: float


class HeldoutProgress(SnapshotPart):
    """The last evaluation of held-out data: ``value`` is of the metric that decides.

    ``text`` has the figures that a training is followed by; ``best`` is the best value so far,
    of the evaluation after ``best_at`` passes or iterations, since which there were ``since_best``
    others; ``course`` has the values from the first evaluation on.
    """

    number: int
    metric: str
    value: float | None
    best: float | None
    text: str
    course: Points
    best_at: float | None = None
    since_best: int = 0


class DownpourPart(SnapshotPart):
    """``applied`` are the pushes on each shard, or the least and the most of many shards.

    ``goodput`` is the share of the steps that workers could have computed which count;
    ``bytes_a_step`` crossed the network both ways for a minibatch, ``network_share`` is the share
    of their time for which replicas waited for that; None before a unit was reported.
    """

    shards: int
    applied: tuple[int, ...]
    refused: int
    staleness_median: int
    staleness_worst: int
    units_out: int
    resent: int
    waited_s: float
    warming: bool
    goodput: float | None = None
    bytes_a_step: float | None = None
    network_share: float | None = None


class SandblasterPart(SnapshotPart):
    """``nonzeros`` of ``weights`` is None where no L1 term makes weights zero."""

    gradient_norm: float | None
    step: float
    nonzeros: int | None
    weights: int
    evaluations: int
    portions: int
    portions_done: int
    portions_out: int
    portions_per_second: float
    backups_sent: int
    backups_won: int
    retries: int


class ProgressSnapshot(SnapshotPart):
    """A training ``seconds`` after its begin.

    ``done`` of ``total`` passes or iterations are done; the rest takes ``left_s``, or less
    where ``at_most``. ``speed`` is that of the last seconds, ``first_speed`` that of the first
    ones. ``workers`` processes are at work, there is work for ``wanted``. ``waiting`` says for
    what the training has been waiting for long, ``news`` what happened last beside the usual.
    """

    method: str
    unit: Literal["pass", "iteration"]
    seconds: float
    done: float
    total: int
    left_s: float | None
    at_most: bool
    loss: float | None
    losses: Points
    heldout: HeldoutProgress | None
    speed: Speed
    first_speed: Speed | None
    speeds: Points
    workers: int
    wanted: int
    waiting: str
    news: str
    downpour: DownpourPart | None = None
    sandblaster: SandblasterPart | None = None

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude_none=False)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ProgressSnapshot | None:
        """Read what a coordinator told; None if that is nothing, or nothing that we know."""
        try:
            return cls.model_validate(document)
        except ValidationError:
            return None


def finite_or_none(value: float) -> float | None:
    """The number if JSON has it, else None."""
    return value if math.isfinite(value) else None
