"""What a training looks like at a moment: what progress displays show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from app.store.contract import ShardCounts
from coordinator.outcome import Evaluation


@dataclass(frozen=True)
class Status:
    """A moment of a Downpour run. ``training_loss`` is over recent units, NaN before any.

    ``idle_s`` is how long units have been waiting without any worker at work.
    """

    passes: float
    total_passes: int
    steps: int
    total_steps: int
    seconds: float
    training_loss: float
    evaluation: Evaluation | None
    best: Evaluation | None
    shards: Sequence[ShardCounts]
    staleness: Counter[int]
    units_in_flight: int
    resent: int
    idle_s: float
    warming: bool

    @property
    def steps_per_second(self) -> float:
        return self.steps / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Until all passes are done, at the speed so far; None before any step."""
        if not self.steps:
            return None
        return (self.total_steps - self.steps) * self.seconds / self.steps

    @property
    def refused(self) -> int:
        return max((shard.refused for shard in self.shards), default=0)


def median(histogram: Counter[int]) -> int:
    """The (lower) median of a counted distribution; 0 if it is empty."""
    half, seen = (histogram.total() + 1) // 2, 0
    for value in sorted(histogram):
        seen += histogram[value]
        if seen >= half:
            return value
    return 0
