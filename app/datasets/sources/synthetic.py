"""Problems whose best parameters are known, drawn from a seed.

Parameters, features and targets come from separate streams of the seed, so a problem
with more examples begins with the examples of the smaller one, about the same truth:
that is how to get fresh data for a test.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from distbelief.app.datasets.examples.dataset import Features, Targets

#: Features, and the parameters of ``linear``, are multiples of 1/16. Sums of their
#: products are then exact in float32 in whatever order they are added.
GRID = 16

#: Standard deviation of the logits: labels are mostly right and never certain.
LOGIT_SCALE = 2.0


@dataclass(frozen=True, eq=False)
class SyntheticProblem:
    """A data set and the parameters that it was drawn from.

    Attributes:
        features: float32, shape (n_examples, n_features), standard normal.
        targets: shape (n_examples,); float32 for ``linear``, else int64 labels.
        n_classes: number of classes; 0 says regression.
        weights: float64, shape (n_features, n_outputs); one output for ``linear`` and
            ``logistic``, one for each class for ``softmax``.
        bias: float64, shape (n_outputs,).
    """

    features: Features
    targets: Targets
    n_classes: int
    weights: npt.NDArray[np.float64]
    bias: npt.NDArray[np.float64]


def linear(
    examples: int = 1000, features: int = 20, noise: float = 0.0, seed: int = 0
) -> SyntheticProblem:
    """``y = x @ weights + bias + noise * N(0, 1)``.

    Without noise the squared loss at the truth is exactly zero, also when a model
    computes in float32. With noise the truth minimises the population loss, which is
    noise**2 for the squared error.
    """
    truth, inputs, errors = _streams(seed)
    weights = _on_grid(truth.standard_normal((features, 1)))
    bias = _on_grid(truth.standard_normal(1))
    x = _features(inputs, examples, features)
    y = (x @ weights + bias)[:, 0] + noise * errors.standard_normal(examples)
    return SyntheticProblem(x, y.astype(np.float32), 0, weights, bias)


def logistic(examples: int = 1000, features: int = 20, seed: int = 0) -> SyntheticProblem:
    """Labels 0 and 1 with ``P(1 | x) = 1 / (1 + exp(-(x @ weights + bias)))``.

    The truth minimises the population log loss; the minimum on n examples lies within
    O(1 / sqrt(n)) of it.
    """
    truth, inputs, errors = _streams(seed)
    weights = truth.standard_normal((features, 1)) * (LOGIT_SCALE / np.sqrt(features))
    bias = truth.standard_normal(1)
    x = _features(inputs, examples, features)
    # a logistic error exceeds -z with the probability sigmoid(z)
    y = (x @ weights + bias)[:, 0] + errors.logistic(size=examples) > 0
    return SyntheticProblem(x, y.astype(np.int64), 2, weights, bias)


def softmax(
    examples: int = 1000, features: int = 20, classes: int = 5, seed: int = 0
) -> SyntheticProblem:
    """Labels with ``P(k | x)`` proportional to ``exp(x @ weights[:, k] + bias[k])``.

    The truth minimises the population log loss, as in ``logistic``. Adding one vector to
    the weights of all classes changes no probability; the truth is the representative
    whose weights and biases sum to zero over the classes, which is also where gradient
    methods end that start at zero.
    """
    truth, inputs, errors = _streams(seed)
    weights = truth.standard_normal((features, classes)) * (LOGIT_SCALE / np.sqrt(features))
    bias = truth.standard_normal(classes)
    weights -= weights.mean(axis=1, keepdims=True)
    bias -= bias.mean()
    x = _features(inputs, examples, features)
    # the Gumbel-max trick: the argmax of disturbed logits is a draw from the softmax
    y = np.argmax(x @ weights + bias + errors.gumbel(size=(examples, classes)), axis=1)
    return SyntheticProblem(x, y.astype(np.int64), classes, weights, bias)


def _streams(seed: int) -> list[np.random.Generator]:
    return np.random.default_rng(seed).spawn(3)


def _features(stream: np.random.Generator, examples: int, features: int) -> Features:
    return _on_grid(stream.standard_normal((examples, features), dtype=np.float32))


def _on_grid(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Round to multiples of ``1 / GRID``; keeps the dtype."""
    rounded: npt.NDArray[Any] = np.rint(values * GRID) / GRID
    return rounded
