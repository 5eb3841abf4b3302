"""Examples divided into three parts: to train on, to choose by, and to test once at the end.

The shares are drawn at random, from each class alike, or from the end of an order; or a column
says the part of each example.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from distbelief.app.datasets.split.partition import RowPart, ShuffledRows
from distbelief.app.datasets.split.shuffle import Shuffle
from distbelief.app.errors import DataError

#: Numbers of the parts.
TRAIN, HELDOUT, TEST = range(3)

#: Examples that are looked at together.
CHUNK = 1 << 18

Parts = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Division:
    """The three parts of a data set; all but the first may be empty."""

    train: RowPart
    heldout: RowPart
    test: RowPart


@dataclass(frozen=True)
class Shares:
    """How many examples of ``n`` are held out, and how many are for the test.

    Raises:
        DataError: no examples, a share out of range, or one that leaves a side empty.
    """

    n: int
    holdout: float = 0.0
    test: float = 0.0

    def __post_init__(self) -> None:
        if self.n < 1:
            raise DataError(f"there must be at least one example to split, got {self.n}")
        for name, share in (("holdout", self.holdout), ("test", self.test)):
            if not 0 <= share < 1:
                raise DataError(f"{name} must be at least 0 and below 1, got {share}")
            count = round(self.n * share)
            if share > 0 and not 0 < count < self.n:
                side = "to train on" if count else "held out" if name == "holdout" else "to test on"
                raise DataError(
                    f"{name} {share} of {self.n} examples leaves none {side}: "
                    "choose another share, or 0 to train on all"
                )
        if self.n_train < 1:
            raise DataError(
                f"holdout {self.holdout} and test {self.test} of {self.n} examples leave none to "
                "train on: choose smaller shares"
            )

    @property
    def n_heldout(self) -> int:
        return round(self.n * self.holdout)

    @property
    def n_test(self) -> int:
        return round(self.n * self.test)

    @property
    def n_train(self) -> int:
        return self.n - self.n_heldout - self.n_test


def at_random(shares: Shares, seed: int) -> Division:
    """Divide by the shuffled order alone, which needs no list."""
    shuffle = Shuffle(shares.n, f"split/{seed}")
    first, second = shares.n_heldout, shares.n_heldout + shares.n_test
    return Division(
        ShuffledRows(shuffle, second, shares.n),
        ShuffledRows(shuffle, 0, first),
        ShuffledRows(shuffle, first, second),
    )


def by_class(labels: Any, n_classes: int, shares: Shares, seed: int) -> Parts:
    """The part of each example; all parts have their share of each class, as well as it goes.

    Each class has at least one example to train on. Of a class the first in the shuffled order
    are held out.

    Args:
        labels: shape (n,), 0 to ``n_classes - 1``; read in chunks.
        n_classes: number of classes.
        shares: of the parts.
        seed: of the order.
    """
    counts = np.zeros(n_classes, np.int64)
    for start in range(0, shares.n, CHUNK):
        counts += np.bincount(labels[start : start + CHUNK], minlength=n_classes)
    heldout = _quotas(counts, shares.n_heldout, np.maximum(counts - 1, 0))
    test = _quotas(counts, shares.n_test, np.maximum(counts - 1 - heldout, 0))
    parts, seen = np.zeros(shares.n, np.uint8), np.zeros(n_classes, np.int64)
    shuffle = Shuffle(shares.n, f"split/{seed}")
    for start in range(0, shares.n, CHUNK):
        rows = shuffle.at(np.arange(start, min(start + CHUNK, shares.n)))
        found = labels[rows]
        rank = seen[found] + _rank(found)
        parts[rows[rank < (heldout + test)[found]]] = TEST
        parts[rows[rank < heldout[found]]] = HELDOUT
        seen += np.bincount(found, minlength=n_classes)
    return parts


def by_order(values: Any, shares: Shares) -> Parts:
    """The part of each example: the greatest values are the test, those before are held out.

    Of equal values the later rows count as greater.
    """
    parts = np.zeros(shares.n, np.uint8)
    for part, first in ((HELDOUT, shares.n_train), (TEST, shares.n_train + shares.n_heldout)):
        if first == shares.n:
            continue
        border, n_below = _border(values, first)
        start = 0
        for keys in _keys(values):
            equal = keys == border
            below = equal & (np.cumsum(equal) <= n_below)
            n_below -= int(below.sum())
            parts[start : start + len(keys)][(keys > border) | (equal & ~below)] = part
            start += len(keys)
    return parts


def _quotas(counts: npt.NDArray[np.int64], total: int, most: npt.NDArray[np.int64]) -> Any:
    """``total`` dealt to classes by their size, largest remainders first, ``most`` at most."""
    exact = counts * total / counts.sum()
    quotas = np.minimum(np.floor(exact).astype(np.int64), most)
    for index in np.argsort(quotas - exact, kind="stable").tolist():
        if quotas.sum() >= total:
            break
        quotas[index] = min(quotas[index] + 1, most[index])
    return quotas


def _rank(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How many equal labels stand before each."""
    order = np.argsort(labels, kind="stable")
    _, first, counts = np.unique(labels[order], return_index=True, return_counts=True)
    rank = np.empty(len(labels), np.int64)
    rank[order] = np.arange(len(labels)) - np.repeat(first, counts)
    return rank


def _keys(values: Any) -> Iterator[npt.NDArray[np.uint64]]:
    """float64 as whole numbers of the same order, in chunks."""
    for start in range(0, len(values), CHUNK):
        chunk = np.asarray(values[start : start + CHUNK], np.float64) + 0.0  # no negative zero
        bits = chunk.view(np.uint64)
        top = np.uint64(1 << 63)
        yield np.where(bits & top, ~bits, bits | top)


def _border(values: Any, position: int) -> tuple[np.uint64, int]:
    """The key at a position of the sorted order, and how many equal ones stand before it.

    Digit by digit, so that nothing is ever sorted, or in memory, as a whole.
    """
    prefix, left = 0, position
    for shift in (48, 32, 16, 0):
        counts = np.zeros(1 << 16, np.int64)
        for keys in _keys(values):
            mine = keys >> np.uint64(shift)
            if shift < 48:
                mine = mine[(mine >> np.uint64(16)) == np.uint64(prefix)]
            counts += np.bincount((mine & np.uint64(0xFFFF)).astype(np.int64), minlength=1 << 16)
        before = np.cumsum(counts)
        digit = int(np.searchsorted(before, left, side="right"))
        left -= int(before[digit - 1]) if digit else 0
        prefix = prefix << 16 | digit
    return np.uint64(prefix), left
