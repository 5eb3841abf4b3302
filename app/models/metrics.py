"""Scores of a model on labelled examples, kept as sums so that parts can be added."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from distbelief.app.errors import ModelError
from distbelief.app.layout.tensors import Vector
from distbelief.app.models.auc import binned
from distbelief.app.models.losses import silently
from distbelief.app.models.model import (
    Features,
    LossModel,
    Model,
    Targets,
    Task,
    Weights,
    weighed,
)
from distbelief.app.models.parameters import Source
from distbelief.app.models.predictions import likeliest, of_positive, probability_of
from distbelief.app.models.sums import MOST_CLASSES, Confusion
from distbelief.app.models.sums import Score as Score


@silently
def score(
    source: Source,
    features: Features,
    targets: Targets,
    chunk: int = 4096,
    *,
    threshold: float = 0.5,
    histogram: bool = False,
    seen: Callable[[Vector, Targets, Weights], None] | None = None,
    weights: Weights = None,
    enough: Callable[[], bool] = lambda: False,
) -> Score:
    """Score a model on examples (n, n_features) and (n,), ``chunk`` at a time.

    Or on the first of them: after each chunk it may be ``enough``; the score counts its examples.
    Of two classes 1 is answered where its probability is above ``threshold``; with
    ``histogram`` its probabilities are counted in bins. ``seen`` is called with the
    predictions, targets and weights of each chunk. Memory is bounded by a chunk and one scratch
    gradient, whatever n is.

    Raises:
        ModelError: predictions of another shape than the protocol says.
    """
    total = Score()
    for start in range(0, len(targets), chunk):
        labels = targets[start : start + chunk]
        model, parameters, cut = source(features[start : start + chunk])
        mine = None if weights is None else weights[start : start + chunk]
        loss_sum = len(labels) * _loss(model, parameters, cut, labels, mine)
        predictions = np.asarray(model.predict(parameters, cut))
        _check_shape(model.task, predictions.shape, labels)
        if seen is not None:
            seen(predictions, labels, mine)
        part = _judged(model, predictions, labels, threshold, mine)
        bins = binned(of_positive(predictions), labels, mine) if histogram else ()
        total += replace(part, loss_sum=loss_sum, histogram=bins)
        if enough():
            break
    return total


def _classes(probabilities: Vector, threshold: float) -> npt.NDArray[np.intp]:
    """Choose a class for each example, shape (n,); -1 where there is a NaN.

    Without the -1 a diverged model would be credited with every example of class 0.
    """
    answers = likeliest(probabilities, threshold)
    unknown = np.isnan(probabilities)
    answers[unknown if probabilities.ndim == 1 else unknown.any(axis=1)] = -1
    return answers


def _judged(
    model: Model, predictions: Vector, targets: Targets, threshold: float, weights: Weights
) -> Score:
    n_examples, weight = len(targets), 0.0
    if weights is not None:
        weight = float(np.sum(weights, dtype=np.float64))
        if not weight:
            return Score(n_examples)
    if model.task is Task.REGRESSION:
        mean = float(np.average(targets.astype(np.float64), weights=weights))
        return Score(
            n_examples,
            squared_error=_sum(np.square(predictions - targets), weights),
            target_mean=mean,
            target_squares=_sum(np.square(targets - mean, dtype=np.float64), weights),
            weight=weight,
        )
    n_classes = 2 if model.task is Task.BINARY else predictions.shape[1]
    answers = _classes(predictions, threshold)
    return Score(
        n_examples,
        correct=_sum(answers == targets, weights),
        log_loss_sum=_log_loss_sum(predictions, targets, weights),
        confusion=_confusion(targets, answers, n_classes, weights)
        if n_classes <= MOST_CLASSES
        else (),
        weight=weight,
    )


def _sum(values: npt.NDArray[Any], weights: Weights) -> float:
    """The sum of values, in float64; of truth values their number."""
    if weights is None:
        counted = values.dtype == np.bool_
        return int(np.count_nonzero(values)) if counted else float(np.sum(values, dtype=np.float64))
    return float(values.astype(np.float64) @ weights.astype(np.float64))


def _loss(
    model: Model, parameters: Vector, features: Features, targets: Targets, weights: Weights
) -> float:
    keyword = weighed(weights)
    if isinstance(model, LossModel):
        return model.loss(parameters, features, targets, **keyword)
    scratch = np.empty_like(parameters)
    return float(model.loss_and_gradient(parameters, features, targets, scratch, **keyword))


def _log_loss_sum(probabilities: Vector, labels: Targets, weights: Weights) -> float:
    """Sum -log of each label's probability: a certain error costs much, but not infinity."""
    chances = probability_of(labels, probabilities)
    smallest = np.finfo(chances.dtype).eps
    clipped = np.clip(chances, smallest, 1 - smallest).astype(np.float64)
    return -_sum(np.log(clipped), weights)


def _confusion(
    labels: Targets, answers: npt.NDArray[np.intp], n_classes: int, weights: Weights
) -> Confusion:
    columns = n_classes + 1
    positions = labels.astype(np.intp) * columns + answers % columns  # -1 is the last column
    cells = np.bincount(positions, weights, minlength=n_classes * columns)
    return tuple(map(tuple, cells.reshape(-1, columns).tolist()))


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
