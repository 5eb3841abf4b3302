"""The status of a training at a moment, as its driver tells it.

Both kinds have ``loss``, ``steps`` of ``total_steps``, and ``done`` of ``total`` passes or
iterations.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from distbelief.app.store.contract.parameters import ShardCounts
from distbelief.coordinator.progress.network import NetworkUse
from distbelief.coordinator.progress.outcome import HeldoutEvaluation


@dataclass
class Tally:
    """Backups ``sent``; ``won`` answered before the first dispatch, ``wasted`` after it."""

    portions: int = 0
    sent: int = 0
    won: int = 0
    wasted: int = 0
    retries: int = 0


@dataclass(frozen=True)
class Outstanding:
    """Work that was first sent ``seconds`` ago; ``worker`` is empty if nobody is known at it."""

    name: str
    seconds: float
    worker: str


@dataclass(frozen=True)
class DownpourStatus:
    """Status of a Downpour run.

    ``training_loss`` is over recent units, NaN before any. ``workers`` processes were heard of
    a moment ago, there is work for ``wanted``; the training has to end at ``limit_s``.
    ``waited_s`` is how long replicas were held back for slower ones, summed over them;
    ``goodput`` is the share of the steps that workers could have computed which count, NaN before
    any; ``idle_s`` is how long units have been waiting without any worker at work, ``oldest`` the
    unit that has been out for longest. ``network`` is what replicas used of it.
    """

    passes: float
    total_passes: int
    steps: int
    total_steps: int
    examples: int
    seconds: float
    limit_s: float | None
    training_loss: float
    evaluation: HeldoutEvaluation | None
    best: HeldoutEvaluation | None
    shards: Sequence[ShardCounts]
    staleness: Counter[int]
    waited_s: float
    workers: int
    wanted: int
    units_in_flight: int
    resent: int
    idle_s: float
    oldest: Outstanding | None
    warming: bool
    goodput: float = math.nan
    network: NetworkUse = field(default_factory=NetworkUse)

    @property
    def loss(self) -> float:
        return self.training_loss

    @property
    def done(self) -> float:
        return self.passes

    @property
    def total(self) -> int:
        return self.total_passes


@dataclass(frozen=True)
class SandblasterStatus:
    """Status of a Sandblaster run; the loss is the objective at the last iteration.

    ``nonzeros`` of ``n_weights`` weights are not zero; None if no L1 term makes them so.
    ``workers`` and ``limit_s`` are those of :class:`DownpourStatus`; ``slow`` is the portion
    that has been out for longest; ``tally`` counts portions and backups since this
    coordinator began, and ``examples`` are those of its portions.
    """

    iteration: int
    total_iterations: int
    examples: int
    seconds: float
    limit_s: float | None
    loss: float
    gradient_norm: float
    step: float
    nonzeros: int | None
    n_weights: int
    evaluations: int
    evaluation: HeldoutEvaluation | None
    best: HeldoutEvaluation | None
    workers: int
    wanted: int
    portions_done: int
    portions_outstanding: int
    n_portions: int
    tally: Tally
    slow: Outstanding | None

    @property
    def steps(self) -> int:
        return self.iteration

    @property
    def total_steps(self) -> int:
        return self.total_iterations

    @property
    def done(self) -> float:
        return self.iteration

    @property
    def total(self) -> int:
        return self.total_iterations

    @property
    def warming(self) -> bool:
        return False


Status = DownpourStatus | SandblasterStatus


def median(histogram: Counter[int]) -> int:
    """The (lower) median of a counted distribution; 0 if it is empty."""
    half, seen = (histogram.total() + 1) // 2, 0
    for value in sorted(histogram):
        seen += histogram[value]
        if seen >= half:
            return value
    return 0
