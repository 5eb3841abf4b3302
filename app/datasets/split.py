"""Who trains on what, and in which order: pure functions of the seed.

A replica that is replaced, or replays after a loss, must see the same minibatches again;
so a minibatch depends on (seed, pass, subset) and the step number, on nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from app.errors import DataError

Rows = npt.NDArray[np.int64]


def split(n_examples: int, holdout: float, seed: int) -> tuple[Rows, Rows]:
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
    # NumPy pads seeds with zeros: the last word keeps this stream apart from every pass's
    order = np.random.default_rng([seed, 0, 0, 1]).permutation(n_examples)
    return order[n_heldout:], order[:n_heldout]


@dataclass(frozen=True, eq=False)
class Subset:
    """The part of the training data that one Downpour replica goes through.

    Subsets are contiguous slices of ``train`` (random, as ``split`` has shuffled it);
    their sizes differ by at most one, and together they hold each row once.

    Attributes:
        train: dataset rows of all training examples.
        index: which subset, 0 to ``n_subsets - 1``.
        n_subsets: how many there are.
        seed: of the order within each pass; not negative.

    Raises:
        DataError: fewer training examples than subsets, or no such subset.
    """

    train: Rows
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
        return len(self.rows)

    @cached_property
    def rows(self) -> Rows:
        """Dataset rows of this subset, a view of ``train``."""
        small, larger = divmod(len(self.train), self.n_subsets)
        first = self.index * small + min(self.index, larger)
        return self.train[first : first + small + (self.index < larger)]

    def steps_per_pass(self, batch_size: int) -> int:
        """Minibatches in one pass; the last may be smaller, and there is at least one."""
        if batch_size < 1:
            raise DataError(f"a minibatch needs at least one example, got {batch_size}")
        return math.ceil(len(self) / batch_size)

    def minibatch(self, step: int, batch_size: int) -> Rows:
        """Dataset rows, read-only, of minibatch ``step``, counted over all passes from 0."""
        pass_number, position = divmod(step, self.steps_per_pass(batch_size))
        start = position * batch_size
        return self._order(pass_number)[start : start + batch_size]

    @cached_property
    def _order(self) -> Callable[[int], Rows]:
        @lru_cache(maxsize=1)
        def order(pass_number: int) -> Rows:
            stream = np.random.default_rng([self.seed, pass_number, self.index])
            rows = self.rows[stream.permutation(len(self))]
            rows.flags.writeable = False  # shared by every minibatch of the pass
            return rows

        return order


def portion(train: Rows, index: int, n_portions: int) -> Rows:
    """Portion ``index`` of the training examples, for Sandblaster.

    Portions are contiguous ranges of the rows in the order of the file, so that reading
    one is sequential; their sizes differ by at most one.

    Args:
        train: dataset rows of all training examples, in ascending order.
        index: which portion, 0 to ``n_portions - 1``.
        n_portions: at most as many as there are rows.
    """
    small, larger = divmod(len(train), n_portions)
    start = index * small + min(index, larger)
    return train[start : start + small + (index < larger)]
