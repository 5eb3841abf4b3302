"""Numbers that are missing in files of the cache: what stands for them is known only at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from distbelief.app.datasets.examples.centres import middle
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.datasets.examples.statistics import Statistics

#: Numbers that are in memory at a time.
BLOCK_NUMBERS = 1 << 20

_HALVES = 1 << 16
_COLUMNS = 32  # whose medians are found together


@dataclass(frozen=True)
class StoredNumbers:
    """The numbers of a table that was written with NaN where one is missing.

    ``weights`` are those of the examples, if they have any.
    """

    folder: Path
    schema: Schema
    weights: Any = None

    def fill(self, values: Sequence[tuple[int, float]]) -> None:
        """Write for each of some columns a value where it has NaN."""
        columns = [column for column, _ in values]
        numbers = np.array([value for _, value in values], np.float32)
        for _, block in self._blocks("r+"):
            some = block[:, columns]
            gone = np.isnan(some)
            if gone.any():
                block[:, columns] = np.where(gone, numbers, some)

    def medians(self, columns: Sequence[int]) -> list[float]:
        """The weighted median of each of some columns without NaN, 0 if it has nothing else.

        In two rounds, of which each counts one half of the bits of all numbers: exact, and in
        memory that does not grow with them.
        """
        found: list[float] = []
        for start in range(0, len(columns), _COLUMNS):
            found += self._medians(columns[start : start + _COLUMNS])
        return found

    def _medians(self, columns: Sequence[int]) -> list[float]:
        highs = self._counts([(column, None) for column in columns])
        wanted: list[tuple[int, int, float, str]] = []  # column, high half, how far in it, side
        for place, high in enumerate(highs):
            before = np.cumsum(high)
            for side in ("left", "right") if before[-1] else ():
                half = middle(high, before[-1] / 2, side)
                wanted.append((place, half, before[-1] / 2 - (before[half] - high[half]), side))
        lows = self._counts([(columns[place], half) for place, half, *_ in wanted])
        values: list[list[float]] = [[] for _ in columns]
        for (place, half, rest, side), low in zip(wanted, lows, strict=True):
            values[place].append(_number(half * _HALVES + middle(low, rest, side)))
        return [float(np.mean(both)) if both else 0.0 for both in values]

    def _counts(self, which: Sequence[tuple[int, int | None]]) -> npt.NDArray[np.float64]:
        """How many numbers of each column have which high half; or which low one behind a high."""
        counts = np.zeros((len(which), _HALVES))
        for start, block in self._blocks("r"):
            weights = None if self.weights is None else self.weights[start : start + len(block)]
            for place, (column, high) in enumerate(which):
                values = np.ascontiguousarray(block[:, column])
                there = ~np.isnan(values)
                keys = _keys(values[there])
                mine = slice(None) if high is None else keys >> 16 == high
                halves = keys >> 16 if high is None else keys[mine] & (_HALVES - 1)
                counted = None if weights is None else weights[there][mine]
                counts[place] += np.bincount(halves, counted, minlength=_HALVES)
        return counts

    def _blocks(self, mode: Any) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
        """Some rows of the numbers at a time, mapped, from which one on; all are of one width."""
        name = "values.npy" if self.schema.sparse else "features.npy"
        stored = np.lib.format.open_memmap(self.folder / name, mode=mode)
        schema = self.schema
        width = schema.n_dense + schema.n_fields if schema.sparse else schema.n_features
        table = stored.reshape(-1, width)
        step = max(1, BLOCK_NUMBERS // width)
        for start in range(0, len(table), step):
            yield start, table[start : start + step, : schema.n_dense]
        stored.flush()


def filled(statistics: Statistics, values: Sequence[tuple[int, float]], n_rows: int) -> Statistics:
    """Statistics of columns of ``n_rows`` after :meth:`StoredNumbers.fill`."""
    fills = np.zeros_like(statistics.mean)
    for column, value in values:
        fills[column] = value
    return statistics.filled(fills, n_rows)


def _keys(values: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Whole numbers from 0 to 2^32 - 1 in the order of ``values``."""
    bits = values.view(np.int32).astype(np.int64)
    return np.where(bits < 0, -1 - (bits + (1 << 31)), bits) + (1 << 31)


def _number(key: int) -> float:
    """The number of a key."""
    bits = key - (1 << 31)
    if bits < 0:
        bits = -1 - bits - (1 << 31)
    return float(np.array([bits], np.int64).astype(np.int32).view(np.float32)[0])
