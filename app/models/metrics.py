"""Scores of a model on labelled examples, kept as sums so that parts can be added."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from distbelief.app.errors import ModelError
from distbelief.app.layout.tensors import Vector
from distbelief.app.models.auc import Histogram, binned, histogram_auc
from distbelief.app.models.criterion import METRICS, Metric
from distbelief.app.models.losses import silently
from distbelief.app.models.model import Features, LossModel, Model, Targets, Task
from distbelief.app.models.parameters import Source
from distbelief.app.models.predictions import likeliest, of_positive, probability_of

#: With more classes no confusion matrix is kept.
MOST_CLASSES = 100

#: ``confusion[label][answer]`` counts examples. The last column, behind those of the
#: classes, has the examples without an answer because a prediction was NaN.
Confusion = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Score:
    """Sums over examples; ``Score()`` is zero, and ``+`` joins the scores of two sets.

    ``correct``, ``log_loss_sum`` and ``confusion`` are about classification;
    ``squared_error`` is in the squared unit of the targets of a regression, and so is
    ``target_squares``, the sum of what these are away from ``target_mean``; what does not
    apply stays zero. The means are NaN without examples.

    ``auc`` belongs to a whole set: that of a joint set does not follow from those of its
    parts. It is None where it is unknown, or where there is one class only.
    ``auc_exact`` says that it was not found by a histogram.
    """

    n_examples: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    squared_error: float = 0.0
    log_loss_sum: float = 0.0
    confusion: Confusion = ()
    histogram: Histogram = ()
    auc: float | None = None
    auc_exact: bool = True
    target_mean: float = 0.0
    target_squares: float = 0.0

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
            **self._targets_with(other),
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
            return max(map(sum, self.confusion)) / self.n_examples
        squares = self.target_squares
        return math.sqrt(squares / self.n_examples) if squares else math.nan

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
        counted = sum(map(sum, self.histogram)) == self.n_examples
        auc = histogram_auc(self.histogram) if counted else None
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
        return cls(**document | tables)

    def _targets_with(self, other: Score) -> dict[str, float]:
        """Mean and squares of the targets of both (Chan, Golub & LeVeque 1979)."""
        n, apart = self.n_examples + other.n_examples, other.target_mean - self.target_mean
        share = other.n_examples / n
        between = apart**2 * self.n_examples * share
        return {
            "target_mean": self.target_mean + apart * share,
            "target_squares": self.target_squares + other.target_squares + between,
        }

    def _mean(self, total: float) -> float:
        return total / self.n_examples if self.n_examples else math.nan


@silently
def score(
    source: Source,
    features: Features,
    targets: Targets,
    chunk: int = 4096,
    *,
    threshold: float = 0.5,
    histogram: bool = False,
    seen: Callable[[Vector, Targets], None] | None = None,
) -> Score:
    """Score a model on examples (n, n_features) and (n,), ``chunk`` at a time.

    Of two classes 1 is answered where its probability is above ``threshold``; with
    ``histogram`` its probabilities are counted in bins. ``seen`` is called with the
    predictions and targets of each chunk. Memory is bounded by a chunk and one scratch
    gradient, whatever n is.

    Raises:
        ModelError: predictions of another shape than the protocol says.
    """
    total = Score()
    for start in range(0, len(targets), chunk):
        labels = targets[start : start + chunk]
        model, parameters, cut = source(features[start : start + chunk])
        loss_sum = len(labels) * _loss(model, parameters, cut, labels)
        predictions = np.asarray(model.predict(parameters, cut))
        _check_shape(model.task, predictions.shape, labels)
        if seen is not None:
            seen(predictions, labels)
        part = _judged(model, predictions, labels, threshold)
        bins = binned(of_positive(predictions), labels) if histogram else ()
        total += replace(part, loss_sum=loss_sum, histogram=bins)
    return total


def _classes(probabilities: Vector, threshold: float) -> npt.NDArray[np.intp]:
    """Choose a class for each example, shape (n,); -1 where there is a NaN.

    Without the -1 a diverged model would be credited with every example of class 0.
    """
    answers = likeliest(probabilities, threshold)
    unknown = np.isnan(probabilities)
    answers[unknown if probabilities.ndim == 1 else unknown.any(axis=1)] = -1
    return answers


def _judged(model: Model, predictions: Vector, targets: Targets, threshold: float) -> Score:
    n_examples = len(targets)
    if model.task is Task.REGRESSION:
        squared_error = float(np.sum(np.square(predictions - targets), dtype=np.float64))
        mean = float(np.mean(targets, dtype=np.float64))
        squares = float(np.sum(np.square(targets - mean, dtype=np.float64)))
        return Score(
            n_examples, squared_error=squared_error, target_mean=mean, target_squares=squares
        )
    n_classes = 2 if model.task is Task.BINARY else predictions.shape[1]
    answers = _classes(predictions, threshold)
    return Score(
        n_examples,
        correct=int(np.count_nonzero(answers == targets)),
        log_loss_sum=_log_loss_sum(predictions, targets),
        confusion=_confusion(targets, answers, n_classes) if n_classes <= MOST_CLASSES else (),
    )


def _loss(model: Model, parameters: Vector, features: Features, targets: Targets) -> float:
    if isinstance(model, LossModel):
        return model.loss(parameters, features, targets)
    return float(model.loss_and_gradient(parameters, features, targets, np.empty_like(parameters)))


def _log_loss_sum(probabilities: Vector, labels: Targets) -> float:
    """Sum -log of each label's probability: a certain error costs much, but not infinity."""
    chances = probability_of(labels, probabilities)
    smallest = np.finfo(chances.dtype).eps
    clipped = np.clip(chances, smallest, 1 - smallest).astype(np.float64)
    return -float(np.sum(np.log(clipped)))


def _confusion(labels: Targets, answers: npt.NDArray[np.intp], n_classes: int) -> Confusion:
    columns = n_classes + 1
    positions = labels.astype(np.intp) * columns + answers % columns  # -1 is the last column
    cells = np.bincount(positions, minlength=n_classes * columns)
    return tuple(map(tuple, cells.reshape(-1, columns).tolist()))


def _added(
    a: tuple[tuple[int, ...], ...], b: tuple[tuple[int, ...], ...]
) -> tuple[tuple[int, ...], ...]:
    """Two tables of counts of one shape, cell by cell."""
    rows = zip(a, b, strict=True)
    return tuple(tuple(x + y for x, y in zip(*pair, strict=True)) for pair in rows)


def _check_shape(task: Task, shape: tuple[int, ...], targets: Targets) -> None:
    """Refuse what NumPy would broadcast or take the wrong maximum of, without a word."""
    n_examples, rest = len(targets), ("n_classes",) if task is Task.MULTICLASS else ()
    if shape[:1] != (n_examples,) or len(shape) != 1 + len(rest):
        needed = ", ".join((str(n_examples), *rest))
        raise ModelError(f"predictions of a {task} model must have shape ({needed}), got {shape}")
    if rest and targets.max() >= shape[1]:
        raise ModelError(
            f"predictions of a {task} model must have a column for each class: "
            f"there are {shape[1]}, and an example of class {targets.max()}"
        )
