"""Mean, spread and range of each numeric feature, over all examples, however these come."""

from __future__ import annotations

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
        count: of the values; those that are missing (NaN) are in none of the figures.
        mean: 0 where there is no value.
        m2: sum of the squared differences from the mean.
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
    def of(cls, block: Float64s) -> Statistics:
        """Those of some rows, shape (n_rows, n_columns); NaN is missing."""
        total = block.sum(axis=0)
        if np.isnan(total).any():
            return cls._of_some(block)
        mean = total / len(block)
        m2 = np.square(block - mean).sum(axis=0)
        return cls(np.full(len(mean), float(len(block))), mean, m2, block.min(0), block.max(0))

    @classmethod
    def _of_some(cls, block: Float64s) -> Statistics:
        given = ~np.isnan(block)
        count = given.sum(axis=0).astype(np.float64)
        mean = np.where(given, block, 0).sum(axis=0) / np.maximum(count, 1)
        m2 = np.square(np.where(given, block - mean, 0)).sum(axis=0)
        least = np.where(given, block, np.inf).min(axis=0)
        return cls(count, mean, m2, least, np.where(given, block, -np.inf).max(axis=0))

    @property
    def spread(self) -> Float64s:
        """Standard deviation of the values."""
        return np.sqrt(self.m2 / np.maximum(self.count, 1))

    def merged(self, other: Statistics) -> Statistics:
        """Those of the rows of both (Chan, Golub and LeVeque 1979, "Updating formulae")."""
        count = self.count + other.count
        share = other.count / np.maximum(count, 1)
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


class RunningStatistics:
    """Statistics of rows that come in pieces of any size: the same bits for each division."""

    def __init__(self, n_columns: int) -> None:
        self._block = np.empty((max(1, BLOCK_NUMBERS // max(1, n_columns)), n_columns))
        self._n_waiting = 0
        self._found = Statistics.none(n_columns)

    def add(self, rows: npt.NDArray[np.floating]) -> None:
        """Take the next rows, shape (n, n_columns); NaN is missing."""
        while len(rows):
            stop = min(len(self._block), self._n_waiting + len(rows))
            taken = stop - self._n_waiting
            self._block[self._n_waiting : stop] = rows[:taken]
            self._n_waiting, rows = stop, rows[taken:]
            if stop == len(self._block):
                self._found, self._n_waiting = self.now(), 0

    def now(self) -> Statistics:
        """The statistics of all rows so far."""
        if not self._n_waiting:
            return self._found
        return self._found.merged(Statistics.of(self._block[: self._n_waiting]))


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


def statistics_of(features: Any, n_dense: int) -> Statistics:
    """Statistics of the leading columns of features: an array, or sparse ones."""
    running = RunningStatistics(n_dense)
    for start in range(0, features.shape[0] if n_dense else 0, _TOGETHER):
        rows = features[start : start + _TOGETHER]
        if not isinstance(rows, np.ndarray):  # a csr_array
            rows = CsrRows(rows.indptr.astype(np.int64), rows.indices, rows.data)
        running.add(numbers_of(rows, n_dense))
    return running.now()
