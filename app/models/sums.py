"""The score of a model: sums over examples, so that those of parts can be added."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from distbelief.app.models.auc import Histogram, histogram_auc
from distbelief.app.models.criterion import METRICS
from distbelief.app.models.metric import Metric
from distbelief.app.models.model import Task

#: With more classes no confusion matrix is kept.
MOST_CLASSES = 100

#: ``confusion[label][answer]`` counts examples, or sums up their weights. The last column, behind
#: those of the classes, has the examples without an answer because a prediction was NaN.
Confusion = tuple[tuple[int | float, ...], ...]


@dataclass(frozen=True)
class Score:
    """Sums over examples; ``Score()`` is zero, and ``+`` joins the scores of two sets.

    ``correct``, ``log_loss_sum`` and ``confusion`` are about classification;
    ``squared_error`` is in the squared unit of the targets of a regression, and so is
    ``target_squares``, the sum of what these are away from ``target_mean``; what does not
    apply stays zero. The means are NaN without examples.

    ``weight`` is the sum of the examples' weights, by which all that is summed is weighted, but for
    ``n_examples``; 0 where they have none.

    ``auc`` belongs to a whole set: that of a joint set does not follow from those of its
    parts. It is None where it is unknown, or where there is one class only.
    ``auc_exact`` says that it was not found by a histogram.
    """

    n_examples: int = 0
    loss_sum: float = 0.0
    correct: float = 0
    squared_error: float = 0.0
    log_loss_sum: float = 0.0
    confusion: Confusion = ()
    histogram: Histogram = ()
    auc: float | None = None
    auc_exact: bool = True
    target_mean: float = 0.0
    target_squares: float = 0.0
    weight: float = 0.0

    def __add__(self, other: Score) -> Score:
        if not self.n_examples:
            return other
        if not other.n_examples:
            return self
        return Score(
            self.n_examples + other.n_examples,
            self.loss_sum + other.loss_sum,
            self.correct + other.correct,
            self.squared_error + other.squared_error,
            self.log_loss_sum + other.log_loss_sum,
            _added(self.confusion, other.confusion),
            _added(self.histogram, other.histogram),
            target_mean=self.target_mean + self._share(other) * self._apart(other),
            target_squares=self._squares_with(other),
            weight=self.weight + other.weight,
        )

    @property
    def loss(self) -> float:
        """The mean of what training makes small (without the L2 term)."""
        return self._mean(self.loss_sum)

    @property
    def accuracy(self) -> float:
        return self._mean(self.correct)

    @property
    def log_loss(self) -> float:
        """Mean over probabilities that are clipped as scikit-learn's ``log_loss`` does."""
        return self._mean(self.log_loss_sum)

    @property
    def rmse(self) -> float:
        """Root of the mean squared error, in the unit of the targets."""
        return math.sqrt(self._mean(self.squared_error))

    @property
    def r2(self) -> float:
        """1 minus the squared error beside that of always their mean; NaN where all are equal."""
        squares = self.target_squares
        return 1 - self.squared_error / squares if squares else math.nan

    @property
    def baseline(self) -> float:
        """The accuracy of always the commonest class, of a regression the rmse of the mean.

        NaN where it is not known.
        """
        if self.confusion:
            return max(map(sum, self.confusion)) / self._size
        squares = self.target_squares
        return math.sqrt(squares / self._size) if squares else math.nan

    @property
    def constant_log_loss(self) -> float:
        """The log loss of always the shares of the classes as probabilities; NaN if not known."""
        if not self.confusion:
            return math.nan
        shares = [sum(row) / self._size for row in self.confusion]
        return -math.fsum(share * math.log(share) for share in shares if share)

    @property
    def precision(self) -> float:
        """The share of answers 1 of two classes that are right; NaN without any."""
        (_, wrong, _), (_, right, _) = self.confusion
        return right / (right + wrong) if right + wrong else math.nan

    @property
    def recall(self) -> float:
        """The share of the examples of class 1 of two that are found."""
        positives = self.confusion[1]
        return positives[1] / sum(positives) if sum(positives) else math.nan

    def metric(self, metric: Metric) -> float:
        """The value of a metric; NaN where it is unknown."""
        if metric is Metric.AUC:
            return math.nan if self.auc is None else self.auc
        return {
            Metric.ACCURACY: self.accuracy,
            Metric.LOG_LOSS: self.log_loss,
            Metric.RMSE: self.rmse,
        }[metric]

    def with_histogram_auc(self) -> Score:
        """The score with the AUC of its histogram, if it has one, in place of that.

        NaN, which is in no bin, leaves it unknown.
        """
        if not self.histogram:
            return self
        counted = math.fsum(map(math.fsum, self.histogram))
        tolerance = 1e-9 if self.weight else 0.0  # sums of weights are rounded
        known = math.isclose(counted, self._size, rel_tol=tolerance)
        auc = histogram_auc(self.histogram) if known else None
        return replace(self, histogram=(), auc=auc, auc_exact=False)

    def measures(self, task: Task) -> dict[str, float]:
        """All figures that fit the task of :func:`judged_as`, by name; NaN for unknown ones.

        Precision and recall are there where the confusion matrix still is.
        """
        first, *others = METRICS[task]
        found = {first.value: self.metric(first), "loss": self.loss}
        found |= {metric.value: self.metric(metric) for metric in others}
        if task is Task.BINARY and self.confusion:
            found |= {"precision": self.precision, "recall": self.recall}
        if self.target_squares:
            found["r2"] = self.r2
        return found

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Score:
        tables = {
            name: tuple(map(tuple, document.get(name, ()))) for name in ("confusion", "histogram")
        }
        return _scores().validate_python(document | tables)

    def _share(self, other: Score) -> float:
        return other._size / (self._size + other._size)

    def _apart(self, other: Score) -> float:
        return other.target_mean - self.target_mean

    def _squares_with(self, other: Score) -> float:
        """The squares of the targets of both (Chan, Golub & LeVeque 1979)."""
        between = self._apart(other) ** 2 * self._size * self._share(other)
        return self.target_squares + other.target_squares + between

    def _mean(self, total: float) -> float:
        return total / self._size if self._size else math.nan

    @property
    def _size(self) -> float:
        return self.weight or self.n_examples


@cache
def _scores() -> TypeAdapter[Score]:
    return TypeAdapter(Score)


def _added(
    a: tuple[tuple[Any, ...], ...], b: tuple[tuple[Any, ...], ...]
) -> tuple[tuple[Any, ...], ...]:
    """Two tables of counts of one shape, cell by cell."""
    rows = zip(a, b, strict=True)
    return tuple(tuple(x + y for x, y in zip(*pair, strict=True)) for pair in rows)
