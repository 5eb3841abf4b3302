"""Who trains on what, and in which order: pure functions of the seed.

A replica that is replaced, or replays after a loss, must see the same minibatches again;
so a minibatch depends on (seed, pass, subset) and the step number, on nothing else.

No list of the examples is ever held: the examples are shuffled by a function
(:mod:`distbelief.app.datasets.split.shuffle`), and held-out data, training data and subsets are
ranges of positions in that order. So what a worker needs does not grow with the data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Protocol

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

    def holds(self, rows: Rows) -> npt.NDArray[np.bool_]:
        """For each of ``rows`` whether it belongs to this part."""
        positions = self.shuffle.where(rows)
        return (positions >= self.start) & (positions < self.stop)


def split(n_examples: int, holdout: float, seed: int) -> tuple[ShuffledRows, ShuffledRows]:
    """Deal the rows ``0 .. n_examples - 1`` to training and held-out data, at random.

    Args:
        n_examples: at least one.
        holdout: share to hold out, at least 0 and below 1; 0 holds out nothing.
        seed: not negative.

    Raises:
        DataError: no examples, a share out of range, or one that leaves a side empty.
    """
    if n_examples < 1:
        raise DataError(f"there must be at least one example to split, got {n_examples}")
    if not 0 <= holdout < 1:
        raise DataError(f"holdout must be at least 0 and below 1, got {holdout}")
    n_heldout = round(n_examples * holdout)
    if holdout > 0 and not 0 < n_heldout < n_examples:
        side = "to train on" if n_heldout else "held out"
        raise DataError(
            f"holdout {holdout} of {n_examples} examples leaves none {side}: "
            "choose another share, or 0 to train on all"
        )
    shuffle = Shuffle(n_examples, f"split/{seed}")
    return ShuffledRows(shuffle, n_heldout, n_examples), ShuffledRows(shuffle, 0, n_heldout)


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
                "use fewer replicas, or more data"
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


def portion(train: ShuffledRows, index: int, n_portions: int) -> Iterator[Rows]:
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
    start, stop = _range(train.shuffle.n, index, n_portions)
    for block in range(start // BLOCK, -(-stop // BLOCK)):
        rows = _training_rows(train, block)
        yield rows[np.searchsorted(rows, start) : np.searchsorted(rows, stop)]


def in_file_order(train: ShuffledRows) -> Iterator[Rows]:
    """All training examples, ascending, some ``STRETCH`` at a time, for whoever reads them all."""
    n_parts = math.ceil(train.shuffle.n / STRETCH)
    for index in range(n_parts):
        yield from portion(train, index, n_parts)


def _training_rows(train: ShuffledRows, block: int) -> Rows:
    """The training examples in a block of the file."""
    start, stop = block * BLOCK, min((block + 1) * BLOCK, train.shuffle.n)
    if len(train) == train.shuffle.n:
        return np.arange(start, stop)
    return start + np.flatnonzero(np.unpackbits(_membership(train, block), count=stop - start))


@lru_cache(maxsize=KEPT_BLOCKS)
def _membership(train: ShuffledRows, block: int) -> npt.NDArray[np.uint8]:
    """One bit for each row of a block; every evaluation asks again."""
    rows = np.arange(block * BLOCK, min((block + 1) * BLOCK, train.shuffle.n))
    return np.packbits(train.holds(rows))


def _range(n: int, index: int, n_parts: int) -> tuple[int, int]:
    """Where part ``index`` of ``n`` things begins and ends; sizes differ by at most one."""
    small, larger = divmod(n, n_parts)
    start = index * small + min(index, larger)
    return start, start + small + (index < larger)
