"""Scores of a model on labelled examples, kept as sums so that parts can be added."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from app.errors import ModelError
from app.layout import Vector
from app.models.losses import silently
from app.models.model import Features, LossModel, Model, Targets, Task
from app.models.parameters import Source


@dataclass(frozen=True)
class Score:
    """Sums over examples; ``Score()`` is zero, and ``+`` joins the scores of two sets.

    ``correct`` counts examples of classification, ``squared_error`` is in the squared
    unit of the targets of a regression; the one that does not apply stays zero. The
    means are NaN without examples.
    """

    n_examples: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    squared_error: float = 0.0

    def __add__(self, other: Score) -> Score:
        return Score(
            self.n_examples + other.n_examples,
            self.loss_sum + other.loss_sum,
            self.correct + other.correct,
            self.squared_error + other.squared_error,
        )

    @property
    def loss(self) -> float:
        return self._mean(self.loss_sum)

    @property
    def accuracy(self) -> float:
        return self._mean(self.correct)

    @property
    def rmse(self) -> float:
        """Root of the mean squared error, in the unit of the targets."""
        return math.sqrt(self._mean(self.squared_error))

    def metric(self, task: Task) -> float:
        """Give the figure that :func:`metric_name` names."""
        return self.rmse if task is Task.REGRESSION else self.accuracy

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Score:
        return cls(**document)

    def _mean(self, total: float) -> float:
        return total / self.n_examples if self.n_examples else math.nan


@silently
def score(source: Source, features: Features, targets: Targets, chunk: int = 4096) -> Score:
    """Score a model on examples (n, n_features) and (n,), ``chunk`` at a time.

    Memory is bounded by a chunk and one scratch gradient, whatever n is.

    Raises:
        ModelError: predictions of another shape than the protocol says.
    """
    total = Score()
    for start in range(0, len(targets), chunk):
        part = slice(start, start + chunk)
        total += _score_chunk(*source(features[part]), targets[part])
    return total


def metric_name(task: Task) -> str:
    """Name what a run of this kind reports besides the loss."""
    return "rmse" if task is Task.REGRESSION else "accuracy"


def better(task: Task, a: float, b: float) -> bool:
    """Tell whether metric ``a`` beats metric ``b``: all numbers beat NaN, NaN beats nothing."""
    if math.isnan(b):
        return not math.isnan(a)
    return a < b if task is Task.REGRESSION else a > b


def _score_chunk(model: Model, parameters: Vector, features: Features, targets: Targets) -> Score:
    n_examples = len(targets)
    loss_sum = n_examples * _loss(model, parameters, features, targets)
    predictions = model.predict(parameters, features)
    _check_shape(model.task, predictions.shape, n_examples)
    if model.task is Task.REGRESSION:
        squared_error = float(np.sum(np.square(predictions - targets), dtype=np.float64))
        return Score(n_examples, loss_sum, squared_error=squared_error)
    correct = int(np.count_nonzero(_classes(predictions) == targets))
    return Score(n_examples, loss_sum, correct)


def _loss(model: Model, parameters: Vector, features: Features, targets: Targets) -> float:
    if isinstance(model, LossModel):
        return model.loss(parameters, features, targets)
    return float(model.loss_and_gradient(parameters, features, targets, np.empty_like(parameters)))


def _check_shape(task: Task, shape: tuple[int, ...], n_examples: int) -> None:
    """Refuse what NumPy would broadcast or take the wrong maximum of, without a word."""
    rest = ("n_classes",) if task is Task.MULTICLASS else ()
    if shape[:1] != (n_examples,) or len(shape) != 1 + len(rest):
        needed = ", ".join((str(n_examples), *rest))
        raise ModelError(f"predictions of a {task} model must have shape ({needed}), got {shape}")


def _classes(probabilities: Vector) -> npt.NDArray[np.intp]:
    """Choose the likeliest class of each example, shape (n,); -1 where there is a NaN.

    Without the -1 a diverged model would be credited with every example of class 0.
    """
    if probabilities.ndim == 1:
        probabilities = np.column_stack([1 - probabilities, probabilities])
    classes: npt.NDArray[np.intp] = probabilities.argmax(axis=1)
    classes[np.isnan(probabilities).any(axis=1)] = -1
    return classes
