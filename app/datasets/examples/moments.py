"""Mean and spread of each numeric column, and of the targets of a regression.

They are found in blocks of a fixed number of examples, one after another, so that they are the same
bits whatever reads the examples, and in bounded memory (Chan, Golub & LeVeque 1983, eq. 2.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from distbelief.app.datasets.examples.dataset import Dataset

Float64 = npt.NDArray[np.float64]

#: Examples that are in memory at a time; it decides the last bits of what is found.
BLOCK_EXAMPLES = 4096


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and standard deviation of each of some columns: float64, shape (n_columns,).

    That of a column which is the same in all examples is exactly zero. Where examples have weights,
    both are as if each were there so many times (as by scikit-learn's StandardScaler).
    """

    mean: Float64
    deviation: Float64


def column_moments(dataset: Dataset, n_columns: int) -> Moments:
    """The moments of the first ``n_columns`` features, which hold a number in every example."""
    return _moments(dataset, lambda rows: _dense(dataset.features[rows], n_columns))


def target_moments(dataset: Dataset) -> Moments:
    """The moments of the targets, as of one column."""
    return _moments(dataset, lambda rows: dataset.targets[rows][:, None])


def _moments(dataset: Dataset, read: Any) -> Moments:
    first = _first_that_counts(dataset)
    origin = read(slice(first, first + 1))[0].astype(np.float64)
    n, mean, squares = 0.0, np.zeros_like(origin), np.zeros_like(origin)
    for start in range(0, dataset.n_examples, BLOCK_EXAMPLES):
        stop = min(start + BLOCK_EXAMPLES, dataset.n_examples)
        block = read(slice(start, stop)) - origin  # so that a constant is exactly zero
        weights = None if dataset.weights is None else dataset.weights[start:stop]
        count = stop - start if weights is None else float(np.sum(weights, dtype=np.float64))
        if not count:
            continue
        here = np.average(block, axis=0, weights=weights)
        away, spread = here - mean, np.square(block - here)
        inside = spread.sum(axis=0) if weights is None else weights.astype(np.float64) @ spread
        squares += inside + away**2 * (n * count / (n + count))
        n += count
        mean += away * (count / n)
    return Moments(origin + mean, np.sqrt(squares / n))


def _first_that_counts(dataset: Dataset) -> int:
    """The first example whose weight is not 0: what is constant in the others is so from it."""
    if dataset.weights is None:
        return 0
    for start in range(0, dataset.n_examples, BLOCK_EXAMPLES):
        counting = np.flatnonzero(dataset.weights[start : start + BLOCK_EXAMPLES])
        if len(counting):
            return start + int(counting[0])
    return 0


def _dense(features: Any, n_columns: int) -> npt.NDArray[Any]:
    part = features[:, :n_columns]
    dense: npt.NDArray[Any] = part if isinstance(part, np.ndarray) else part.toarray()
    return dense
