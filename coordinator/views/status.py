"""What a training looks like at a moment: what progress displays show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from app.store.contract import ShardCounts
from coordinator.outcome import Evaluation
from coordinator.sandblaster.portions import Tally


@dataclass(frozen=True)
class Outstanding:
    """Work that was first sent ``seconds`` ago; ``worker`` is empty if nobody is known at it."""

    name: str
    seconds: float
    worker: str


@dataclass(frozen=True)
class DownpourStatus:
    """A moment of a Downpour run. ``training_loss`` is over recent units, NaN before any.

    ``waited_s`` is how long replicas were held back for slower ones, summed over them;
    ``idle_s`` is how long units have been waiting without any worker at work, ``oldest``
    the unit that has been out for longest.
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
    waited_s: float
    units_in_flight: int
    resent: int
    idle_s: float
    oldest: Outstanding | None
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


@dataclass(frozen=True)
class SandblasterStatus:
    """A moment of a Sandblaster run; the loss is the objective at the last iteration.

    ``nonzeros`` of ``n_weights`` weights are not zero; None if no L1 term makes them so.
    ``slow`` is the portion that has been out for longest; ``tally`` counts portions and
    backups over the whole run.
    """

    iteration: int
    total_iterations: int
    seconds: float
    loss: float
    gradient_norm: float
    step: float
    nonzeros: int | None
    n_weights: int
    evaluations: int
    evaluation: Evaluation | None
    best: Evaluation | None
    portions_done: int
    portions_outstanding: int
    n_portions: int
    tally: Tally
    slow: Outstanding | None

    @property
    def portions_per_second(self) -> float:
        return self.tally.portions / self.seconds if self.seconds > 0 else 0.0


Status = DownpourStatus | SandblasterStatus


def median(histogram: Counter[int]) -> int:
    """The (lower) median of a counted distribution; 0 if it is empty."""
    half, seen = (histogram.total() + 1) // 2, 0
    for value in sorted(histogram):
        seen += histogram[value]
        if seen >= half:
            return value
    return 0
