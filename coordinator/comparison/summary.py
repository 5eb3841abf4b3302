"""From outcomes to medians with their spread: what each method cost to be as good as the others."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from distbelief.app.models.metric import Metric, better
from distbelief.coordinator.comparison.methods import Method
from distbelief.coordinator.comparison.outcome import Costs, End, Outcome, Point
from distbelief.coordinator.comparison.plan import Grid, Outcomes

#: Of the best that any method had in the middle, the target unless one is given.
SHARE_OF_BEST = 0.99

#: Likewise of the loss: what is left of the way from the first values' to the lowest.
SHARE_OF_WAY = 0.01


@dataclass(frozen=True)
class Spread:
    """The median of some figures, the least and the largest; what was not reached is infinite."""

    median: float
    least: float
    largest: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> Spread:
        if not figures or any(map(math.isnan, figures)):
            return cls(math.nan, math.nan, math.nan)
        return cls(statistics.median(figures), min(figures), max(figures))


@dataclass(frozen=True)
class Reached:
    """The way to a target: how many of the seeds got there, and what it cost them."""

    count: int
    costs: tuple[Costs | None, ...]

    def spread(self, figure: Callable[[Costs], float]) -> Spread:
        """A figure over all seeds, infinite for those that never got there."""
        return Spread.of([math.inf if each is None else figure(each) for each in self.costs])


@dataclass(frozen=True)
class Targets:
    """What all have to reach: a held-out figure, and a training loss."""

    metric: Metric
    value: float
    loss: float

    def good(self, point: Point) -> bool:
        return point.metric == self.value or better(self.metric, point.metric, self.value)

    def low(self, point: Point) -> bool:
        return point.loss <= self.loss


@dataclass(frozen=True)
class Row:
    """A method with so many replicas: its outcomes, and the trials that tuned its rate."""

    method: Method
    replicas: int
    rate: float | None
    outcomes: tuple[Outcome, ...]
    tuning: tuple[Outcome, ...]
    best: Spread
    to_value: Reached
    to_loss: Reached

    @property
    def seeds(self) -> int:
        return len(self.outcomes)

    def ended(self, end: End) -> int:
        """How many seeds ended so."""
        return sum(each.end is end for each in self.outcomes)

    @property
    def on_edge(self) -> bool:
        """Whether the best rate is the least or the largest that was tried."""
        tried = [each.trial.rate for each in self.tuning if each.trial.rate is not None]
        return len(tried) > 1 and self.rate in (min(tried), max(tried))


@dataclass(frozen=True)
class Summary:
    """A comparison as far as it has been made."""

    targets: Targets
    rows: tuple[Row, ...]

    def of(self, method: str) -> list[Row]:
        """The rows of a method, by its number of replicas."""
        return [row for row in self.rows if row.method.name == method]


def summarise(
    grid: Grid, outcomes: Outcomes, metric: Metric, value: float | None, loss: float | None
) -> Summary:
    """Summarise what is there; ``value`` and ``loss`` are the targets, None for the defaults."""
    parts = [part for part in _parts(grid, outcomes) if part.outcomes]
    found = [part.outcomes for part in parts]
    targets = Targets(
        metric,
        _value(metric, found) if value is None else value,
        _loss(found) if loss is None else loss,
    )
    return Summary(targets, tuple(part.row(targets) for part in parts))


@dataclass(frozen=True)
class _Part:
    method: Method
    replicas: int
    rate: float | None
    outcomes: tuple[Outcome, ...]
    tuning: tuple[Outcome, ...]

    def row(self, targets: Targets) -> Row:
        best = Spread.of([best_metric(targets.metric, each) for each in self.outcomes])
        ways = [
            [each.first(reached) for each in self.outcomes]
            for reached in (targets.good, targets.low)
        ]
        to_value, to_loss = (Reached(sum(c is not None for c in way), tuple(way)) for way in ways)
        tuning, outcomes = self.tuning, self.outcomes
        return Row(self.method, self.replicas, self.rate, outcomes, tuning, best, to_value, to_loss)


def _parts(grid: Grid, outcomes: Outcomes) -> Iterator[_Part]:
    for method in grid.methods:
        for replicas in grid.counts(method):
            tuning = grid.tuning(method, replicas)
            rate = grid.rate(method, replicas, outcomes)
            finals = grid.finals(method, replicas, rate)
            done, tuned = (
                tuple(outcomes[each.key] for each in trials if each.key in outcomes)
                for trials in (finals, tuning)
            )
            yield _Part(method, replicas, rate, done, tuned)


def best_metric(metric: Metric, outcome: Outcome) -> float:
    """The best held-out figure of an outcome; the worst there is if it has none."""
    found = [each.metric for each in outcome.points if math.isfinite(each.metric)]
    if metric.lower_is_better:
        return min(found, default=math.inf)
    return max(found, default=-math.inf)


def _value(metric: Metric, found: Sequence[Sequence[Outcome]]) -> float:
    """A little less than the best median of all methods, so much that three digits say it."""
    medians = [statistics.median(best_metric(metric, e) for e in each) for each in found]
    if not medians or not math.isfinite(best := _best(metric, medians)):
        return math.nan
    if metric.lower_is_better:
        return _rounded_up(best / SHARE_OF_BEST)
    return math.floor(1000 * best * SHARE_OF_BEST) / 1000


def _best(metric: Metric, figures: Sequence[float]) -> float:
    return min(figures) if metric.lower_is_better else max(figures)


def _rounded_up(value: float) -> float:
    """The next number of three digits."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 2) if value > 0 else 1.0
    return float(f"{math.ceil(value / unit) * unit:.3g}")


def _loss(found: Sequence[Sequence[Outcome]]) -> float:
    """A little above the lowest median of all methods."""
    if not found:
        return math.nan
    lowest = min(statistics.median(each.loss for each in outcomes) for outcomes in found)
    first = [each.points[0].loss for outcomes in found for each in outcomes if each.points]
    if not first or not math.isfinite(lowest):
        return math.nan
    return _rounded_up(lowest + SHARE_OF_WAY * (statistics.median(first) - lowest))
