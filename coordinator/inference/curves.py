"""Curves of a saved model on held-out examples: ROC, calibration, predicted against true.

They are found when the training ends, by at most ``MOST_EXAMPLES`` examples, evenly taken from
all of them, and kept as numbers in the run's folder: whoever draws them needs no data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from distbelief.app.datasets.run_data import Selection
from distbelief.app.models.criterion import judged_as
from distbelief.app.models.files import SavedModel
from distbelief.app.models.losses import silently
from distbelief.app.models.model import Task
from distbelief.app.models.predictions import of_positive
from distbelief.app.models.sums import MOST_CLASSES

Array = npt.NDArray[Any]

#: Examples that are looked at, and those that are predicted together.
MOST_EXAMPLES, CHUNK = 5_000, 500

#: Points of a curve, pairs of numbers, and classes with a curve of their own, at most.
MOST_POINTS, MOST_PAIRS, MOST_CURVES = 200, 1_000, 5

#: Stretches of equal width between the probabilities 0 and 1.
BINS = 10

#: The curve of all classes together: of each example every class is one question.
POOLED = "all classes"


@dataclass(frozen=True, eq=False)
class Sample:
    """Predictions, see ``Model.predict``, targets and weights of some examples.

    ``chosen`` of ``available`` examples were looked at; those without an answer, NaN, are left
    out.
    """

    predictions: Array
    targets: Array
    weights: Array
    chosen: int
    available: int


def curves(saved: SavedModel, examples: Selection) -> dict[str, Any]:
    """The curves that fit the model, as JSON; none where nothing can be told.

    Weights count as they do in scores.
    """
    sample = _sampled(saved, examples)
    document: dict[str, Any] = {"examples": sample.chosen, "of": sample.available}
    if not len(sample.targets):
        return document
    if saved.build().task is Task.REGRESSION:
        return document | {"pairs": pairs(sample)}
    names = [str(name) for name in saved.schema.names]
    if judged_as(saved.build().task, saved.schema.n_classes) is Task.BINARY:
        chances, right = of_positive(sample.predictions), sample.targets == 1
        found = roc(chances, right, sample.weights)
        document["roc"] = [] if found is None else [{"class": names[1], **found}]
        document["of_class"] = names[1]
    else:
        chances = sample.predictions.max(axis=1)
        right = sample.predictions.argmax(axis=1) == sample.targets
        document["roc"] = one_against_rest(sample, names)
    return document | {"calibration": calibration(chances, right, sample.weights)}


@silently
def _sampled(saved: SavedModel, examples: Selection) -> Sample:
    n, source, parts = len(examples), saved.source(), []
    positions = np.unique(np.linspace(0, n - 1, min(n, MOST_EXAMPLES)).astype(np.int64))
    for start in range(0, len(positions), CHUNK):
        features, targets, weights = examples.at(positions[start : start + CHUNK])
        model, parameters, cut = source(features)
        answers = np.asarray(model.predict(parameters, cut), np.float64)
        counted = np.ones(len(targets)) if weights is None else np.asarray(weights, np.float64)
        parts.append((answers, np.asarray(targets), counted))
    predictions, targets, weights = (np.concatenate(part) for part in zip(*parts, strict=True))
    finite = np.isfinite(predictions)
    kept = (finite if finite.ndim == 1 else finite.all(axis=1)) & (weights > 0)
    return Sample(predictions[kept], targets[kept], weights[kept], len(positions), n)


def pairs(sample: Sample) -> dict[str, list[float]]:
    """True and predicted values of some examples."""
    every = math.ceil(len(sample.targets) / MOST_PAIRS)
    true, predicted = sample.targets[::every], sample.predictions[::every]
    return {"true": _numbers(true), "predicted": _numbers(predicted)}


def one_against_rest(sample: Sample, names: list[str]) -> list[dict[str, Any]]:
    """The curve of all classes together, and of those that are told apart worst."""
    if sample.predictions.shape[1] > MOST_CLASSES:
        return []
    is_class = sample.targets[:, None] == np.arange(sample.predictions.shape[1])
    weights = np.broadcast_to(sample.weights[:, None], is_class.shape)
    pooled = roc(sample.predictions.ravel(), is_class.ravel(), weights.ravel())
    own = []
    for name, chances, right in zip(names, sample.predictions.T, is_class.T, strict=True):
        if (found := roc(chances, right, sample.weights)) is not None:
            own.append({"class": name, **found})
    own.sort(key=lambda each: float(each["auc"]))
    return [{"class": POOLED, **pooled}, *own[:MOST_CURVES]] if pooled is not None else []


def roc(chances: Array, right: Array, weights: Array) -> dict[str, Any] | None:
    """The curve of (false positive rate, true positive rate) over all thresholds, and its area.

    None if a class is missing. Fawcett (2006), sec. 5: examples of one score are passed together.
    """
    ours, theirs = np.where(right, weights, 0.0), np.where(right, 0.0, weights)
    if not ours.any() or not theirs.any():
        return None
    order = np.argsort(-chances, kind="stable")
    last = np.append(np.flatnonzero(np.diff(chances[order])), len(order) - 1)
    high = np.append(0.0, np.cumsum(ours[order])[last] / ours.sum())
    low = np.append(0.0, np.cumsum(theirs[order])[last] / theirs.sum())
    area = float(np.trapezoid(high, low))
    if len(high) > MOST_POINTS:  # those evenly along the curve
        wanted = np.linspace(0.0, 2.0, MOST_POINTS)
        kept = np.unique(np.clip(np.searchsorted(low + high, wanted), 0, len(high) - 1))
        low, high = low[kept], high[kept]
    return {
        "auc": round(area, 6),
        "false_positive_rate": _numbers(low),
        "true_positive_rate": _numbers(high),
    }


def calibration(chances: Array, right: Array, weights: Array) -> list[dict[str, float]]:
    """For each stretch of probabilities their mean, how often it was so, and of how many."""
    bins = np.clip((chances * BINS).astype(np.int64), 0, BINS - 1)
    found = []
    for index in np.unique(bins):
        mine = bins == index
        found.append(
            {
                "predicted": round(float(np.average(chances[mine], weights=weights[mine])), 6),
                "observed": round(float(np.average(right[mine], weights=weights[mine])), 6),
                "examples": int(mine.sum()),
            }
        )
    return found


def _numbers(values: Array) -> list[float]:
    """Numbers as JSON, with as many digits as a figure can show."""
    return [float(f"{value:.6g}") for value in values.tolist()]
