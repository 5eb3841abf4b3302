"""Mean, spread and range of columns of numbers, over all examples, however these come.

They are found in blocks of a fixed number of rows, one after another, so that they are the same
bits whatever reads the rows, and in bounded memory. Examples with weights count as if each were
there so many times (as by scikit-learn's StandardScaler).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from distbelief.app.datasets.examples.chunks import CsrRows

Float64s = npt.NDArray[np.float64]

#: Numbers that are looked at together. Part of what the last bits of a mean are: blocks are of
#: so many rows whatever the chunks are, so that they do not depend on these.
BLOCK_NUMBERS = 1 << 16

_TOGETHER = 4096  # rows that are in memory at a time


@dataclass(frozen=True, eq=False)
class Statistics:
    """Figures of some columns of numbers, each of shape (n_columns,).

    Attributes:
        count: of the values, or the sum of their weights; those that are missing (NaN), or have no
            weight, are in none of the figures.
        mean: 0 where there is no value.
        m2: sum of the squared differences from the mean; exactly 0 where all values are the same.
        least: infinite where there is no value.
        greatest: likewise, and negative.
    """

    count: Float64s
    mean: Float64s
    m2: Float64s
    least: Float64s
    greatest: Float64s

    @classmethod
    def none(cls, n_columns: int) -> Statistics:
        """Those of no rows at all."""
        zeros, ends = np.zeros(n_columns), np.full(n_columns, np.inf)
        return cls(zeros, zeros, zeros, ends, -ends)

    @classmethod
    def of(cls, block: Float64s, weights: Float64s | None = None) -> Statistics:
        """Those of some rows, shape (n_rows, n_columns); NaN is missing."""
        if weights is not None:
            block, weights = block[weights > 0], weights[weights > 0]
        if not len(block):
            return cls.none(block.shape[1])
        if np.isnan(block.sum(axis=0)).any():
            return cls._of_some(block, weights)
        origin = block[0]  # so that what is constant is exactly so
        away = block - origin
        count = float(len(block) if weights is None else weights.sum())
        mean = np.average(away, axis=0, weights=weights)
        squares = np.square(away - mean)
        m2 = squares.sum(axis=0) if weights is None else weights @ squares
        return cls(
            np.full(len(mean), count), origin + mean, m2, block.min(axis=0), block.max(axis=0)
        )

    @classmethod
    def _of_some(cls, block: Float64s, weights: Float64s | None) -> Statistics:
        there = ~np.isnan(block)
        origin = np.nan_to_num(block[there.argmax(axis=0), np.arange(block.shape[1])])
        away = np.where(there, block - origin, 0)
        counted = there.astype(np.float64) if weights is None else there * weights[:, None]
        count = counted.sum(axis=0)
        mean = _shares((counted * away).sum(axis=0), count)
        m2 = (counted * np.square(away - mean)).sum(axis=0)
        least = np.where(there, block, np.inf).min(axis=0)
        greatest = np.where(there, block, -np.inf).max(axis=0)
        return cls(count, origin + mean, m2, least, greatest)

    @property
    def spread(self) -> Float64s:
        """Standard deviation of the values."""
        return np.sqrt(_shares(self.m2, self.count))

    def merged(self, other: Statistics) -> Statistics:
        """Those of the rows of both (Chan, Golub and LeVeque 1979, "Updating formulae")."""
        count = self.count + other.count
        share = _shares(other.count, count)
        apart = other.mean - self.mean
        return Statistics(
            count,
            self.mean + apart * share,
            self.m2 + other.m2 + np.square(apart) * self.count * share,
            np.minimum(self.least, other.least),
            np.maximum(self.greatest, other.greatest),
        )

    def filled(self, values: Float64s, n_rows: int) -> Statistics:
        """Those of ``n_rows`` rows that have ``values`` where one is missing."""
        gone = n_rows - self.count
        least, greatest = (np.where(gone > 0, values, end) for end in (np.inf, -np.inf))
        return self.merged(Statistics(gone, values, np.zeros_like(gone), least, greatest))

    def array(self) -> Float64s:
        """All figures, shape (5, n_columns)."""
        return np.stack([self.count, self.mean, self.m2, self.least, self.greatest])


def _shares(part: Float64s, whole: Float64s) -> Float64s:
    """What is a share of nothing is 0."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


class RunningStatistics:
    """Statistics of rows that come in pieces of any size: the same bits for each division."""

    def __init__(self, n_columns: int, *, weighted: bool = False) -> None:
        n_rows = max(1, BLOCK_NUMBERS // max(1, n_columns))
        self._block = np.empty((n_rows, n_columns))
        self._weights = np.empty(n_rows) if weighted else None
        self._n_waiting = 0
        self._found = Statistics.none(n_columns)

    def add(
        self, rows: npt.NDArray[np.floating], weights: npt.NDArray[np.floating] | None = None
    ) -> None:
        """Take the next rows, shape (n, n_columns), and their weights; NaN is missing."""
        start = 0
        while start < len(rows):
            room = len(self._block) - self._n_waiting
            part, place = rows[start : start + room], slice(self._n_waiting, None)
            self._block[place][: len(part)] = part
            if self._weights is not None and weights is not None:
                self._weights[place][: len(part)] = weights[start : start + room]
            self._n_waiting, start = self._n_waiting + len(part), start + room
            if self._n_waiting == len(self._block):
                self._found, self._n_waiting = self.now(), 0

    def now(self) -> Statistics:
        """The statistics of all rows so far."""
        n, weights = self._n_waiting, self._weights
        if not n:
            return self._found
        here = Statistics.of(self._block[:n], None if weights is None else weights[:n])
        return self._found.merged(here)


def numbers_of(features: Any, n_dense: int) -> npt.NDArray[np.float32]:
    """The leading columns of some examples, those of numbers: shape (n, n_dense)."""
    if not isinstance(features, CsrRows):
        return np.asarray(features)[:, :n_dense]
    n_rows, n_entries = len(features), len(features.indices)
    width = n_entries // max(1, n_rows)
    if n_entries == n_rows * width and width >= n_dense:
        stand = features.indices.reshape(n_rows, width)[:, :n_dense]
        if (stand == np.arange(n_dense)).all():  # as tables are read
            return features.values.reshape(n_rows, width)[:, :n_dense]
    numbers = np.zeros((n_rows, n_dense), np.float32)
    rows = np.repeat(np.arange(n_rows), np.diff(features.indptr))
    some = features.indices < n_dense
    numbers[rows[some], features.indices[some]] = features.values[some]
    return numbers


def statistics_of(features: Any, n_dense: int, weights: Any = None) -> Statistics:
    """Statistics of the leading columns of features: an array, or sparse ones."""

    def read(rows: slice) -> npt.NDArray[np.float32]:
        some = features[rows]
        if not isinstance(some, np.ndarray):  # a csr_array
            some = CsrRows(some.indptr.astype(np.int64), some.indices, some.data)
        return numbers_of(some, n_dense)

    return _statistics(read, features.shape[0] if n_dense else 0, n_dense, weights)


def target_statistics(targets: Any, weights: Any = None) -> Statistics:
    """Statistics of targets, as of one column."""
    return _statistics(lambda rows: targets[rows][:, None], len(targets), 1, weights)


def _statistics(
    read: Callable[[slice], npt.NDArray[np.floating]], n_rows: int, n_columns: int, weights: Any
) -> Statistics:
    running = RunningStatistics(n_columns, weighted=weights is not None)
    for start in range(0, n_rows, _TOGETHER):
        rows = slice(start, start + _TOGETHER)
        running.add(read(rows), None if weights is None else weights[rows])
    return running.now()
