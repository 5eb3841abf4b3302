"""Who trains on what, and in which order: pure functions of the data and the seed.

A replica that is replaced, or replays after a loss, must see the same minibatches again;
so a minibatch depends on (seed, pass, subset) and the step number, on nothing else.

The examples are shuffled by a function (:mod:`distbelief.app.datasets.split.shuffle`), and
held-out data, training data and subsets are ranges of positions in that order. Where parts are
chosen otherwise, by classes or by a column, each is a list in a file. So what a worker needs does
not grow with the data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from distbelief.app.datasets.split.shuffle import Shuffle
from distbelief.app.errors import DataError

Rows = npt.NDArray[np.int64]

#: Examples whose order is computed together: a minibatch then costs little more than its share.
STRETCH = 4096

#: Consecutive rows of the file that are looked up together, and how often the answer, one
#: bit for each row, is kept: 8 MB for 67 million rows.
BLOCK = 65_536
KEPT_BLOCKS = 1024


class RowList(Protocol):
    """Rows of a data set in some order: an array, or a :class:`ShuffledRows`."""

    def __len__(self) -> int: ...

    def __getitem__(self, positions: Rows | slice, /) -> Rows: ...


class RowPart(RowList, Protocol):
    """Some rows of a data set, in a shuffled order and in that of the file."""

    @property
    def n_rows(self) -> int:
        """Rows of the data set, those of other parts included."""
        ...

    def within(self, start: int, stop: int) -> Iterator[Rows]:
        """Those of the rows ``start`` to ``stop`` that belong to this part, ascending."""
        ...


@dataclass(frozen=True)
class ShuffledRows:
    """The rows that stand at ``start`` to ``stop`` in the shuffled order of a data set."""

    shuffle: Shuffle
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, positions: Rows | slice) -> Rows:
        """The rows at some positions of this part, counted from 0."""
        if isinstance(positions, slice):
            positions = np.arange(*positions.indices(len(self)))
        return self.shuffle.at(self.start + positions)

    @property
    def n_rows(self) -> int:
        return self.shuffle.n

    def within(self, start: int, stop: int) -> Iterator[Rows]:
        """Those of the rows ``start`` to ``stop`` that belong to this part, ascending."""
        for block in range(start // BLOCK, -(-stop // BLOCK)):
            rows = _rows_of_block(self, block)
            yield rows[np.searchsorted(rows, start) : np.searchsorted(rows, stop)]

    def holds(self, rows: Rows) -> npt.NDArray[np.bool_]:
        """For each of ``rows`` whether it belongs to this part."""
        positions = self.shuffle.where(rows)
        return (positions >= self.start) & (positions < self.stop)


@dataclass(frozen=True, eq=False)
class ListedRows:
    """Rows that a list says, ascending; the list may lie in a file.

    Their shuffled order is that of ``key``.
    """

    rows: npt.NDArray[Any]
    n_rows: int
    key: str

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, positions: Rows | slice) -> Rows:
        """The rows at some positions of this part, counted from 0."""
        if isinstance(positions, slice):
            positions = np.arange(*positions.indices(len(self)))
        found: Rows = self.rows[self._shuffle.at(positions)].astype(np.int64)
        return found

    def within(self, start: int, stop: int) -> Iterator[Rows]:
        """Those of the rows ``start`` to ``stop`` that belong to this part, ascending."""
        first, last = np.searchsorted(self.rows, (start, stop)).tolist()
        for begin in range(first, last, BLOCK):
            yield self.rows[begin : min(begin + BLOCK, last)].astype(np.int64)

    @cached_property
    def _shuffle(self) -> Shuffle:
        return Shuffle(max(1, len(self)), self.key)


@dataclass(frozen=True, eq=False)
class Subset:
    """The part of the training data that one Downpour replica goes through.

    Subsets are contiguous ranges of ``train`` (random, as ``split`` has shuffled it);
    their sizes differ by at most one, and together they hold each row once.

    Attributes:
        train: dataset rows of all training examples.
        index: which subset, 0 to ``n_subsets - 1``.
        n_subsets: how many there are.
        seed: of the order within each pass; not negative.

    Raises:
        DataError: fewer training examples than subsets, or no such subset.
    """

    train: RowList
    index: int
    n_subsets: int
    seed: int

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.n_subsets:
            raise DataError(f"subset {self.index} is not one of {self.n_subsets}, counted from 0")
        if self.n_subsets > len(self.train):
            raise DataError(
                f"{self.n_subsets} subsets are more than the {len(self.train)} training examples: "
                f"use fewer replicas, {len(self.train)} at most, or more data"
            )

    def __len__(self) -> int:
        start, stop = _range(len(self.train), self.index, self.n_subsets)
        return stop - start

    def steps_per_pass(self, batch_size: int) -> int:
        """Minibatches in one pass; the last may be smaller, and there is at least one."""
        if batch_size < 1:
            raise DataError(f"a minibatch needs at least one example, got {batch_size}")
        return math.ceil(len(self) / batch_size)

    def minibatch(self, step: int, batch_size: int) -> Rows:
        """Dataset rows, read-only, of minibatch ``step``, counted over all passes from 0."""
        pass_number, position = divmod(step, self.steps_per_pass(batch_size))
        steps = max(1, STRETCH // batch_size)
        stretch, within = divmod(position, steps)
        rows = self._stretch(pass_number, stretch * steps * batch_size, steps * batch_size)
        return rows[within * batch_size : (within + 1) * batch_size]

    @cached_property
    def _stretch(self) -> Callable[[int, int, int], Rows]:
        first, _ = _range(len(self.train), self.index, self.n_subsets)

        @lru_cache(maxsize=1)
        def stretch(pass_number: int, start: int, length: int) -> Rows:
            order = Shuffle(len(self), f"order/{self.seed}/{pass_number}/{self.index}")
            positions = np.arange(start, min(start + length, len(self)))
            rows = self.train[first + order.at(positions)]
            rows.flags.writeable = False  # shared by the minibatches of the stretch
            return rows

        return stretch


def portion(train: RowPart, index: int, n_portions: int) -> Iterator[Rows]:
    """Portion ``index`` of the training examples, for Sandblaster, a block of rows at a time.

    Portions are the training examples within equal, contiguous ranges of the file, so that
    reading one is sequential. Their sizes differ by chance, and of few examples some have
    none; together they hold each training example once.

    Args:
        train: the training examples.
        index: which portion, 0 to ``n_portions - 1``.
        n_portions: at least 1.

    Yields:
        Dataset rows, ascending.
    """
    yield from train.within(*_range(train.n_rows, index, n_portions))


def in_file_order(train: RowPart) -> Iterator[Rows]:
    """All training examples, ascending, some ``STRETCH`` at a time, for whoever reads them all."""
    n_parts = math.ceil(train.n_rows / STRETCH)
    for index in range(n_parts):
        yield from portion(train, index, n_parts)


def _rows_of_block(part: ShuffledRows, block: int) -> Rows:
    """The rows of a part in a block of the file."""
    start, stop = block * BLOCK, min((block + 1) * BLOCK, part.n_rows)
    if len(part) == part.n_rows:
        return np.arange(start, stop)
    return start + np.flatnonzero(np.unpackbits(_membership(part, block), count=stop - start))


@lru_cache(maxsize=KEPT_BLOCKS)
def _membership(part: ShuffledRows, block: int) -> npt.NDArray[np.uint8]:
    """One bit for each row of a block; every evaluation asks again."""
    rows = np.arange(block * BLOCK, min((block + 1) * BLOCK, part.n_rows))
    return np.packbits(part.holds(rows))


def _range(n: int, index: int, n_parts: int) -> tuple[int, int]:
    """Where part ``index`` of ``n`` things begins and ends; sizes differ by at most one."""
    small, larger = divmod(n, n_parts)
    start = index * small + min(index, larger)
    return start, start + small + (index < larger)
