"""The number of portions that Sandblaster cuts the whole batch into."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

from distbelief.app.errors import ConfigError
from distbelief.coordinator.problem.problem import Problem

#: What one core does in about 10 ms, in double precision.
PORTION_MULTIPLICATIONS = 200_000_000
LEAST_PORTIONS, MOST_PORTIONS = 8, 4096


def portions_of(problem: Problem) -> int:
    """The setting ``portions``, or as many as suit the problem if it is not given.

    Raises:
        ConfigError: the setting asks for more portions than there are training examples.
    """
    wanted, n_train = problem.config.portions, problem.n_train
    if wanted is None:
        return default_count(n_train, _touched_parameters(problem))
    if wanted > n_train:
        raise ConfigError(
            f"portions = {wanted} is more than the {n_train} training examples: "
            f"use at most {n_train}"
        )
    return wanted


def default_count(n_examples: int, n_touched: int) -> int:
    """Portions of about 10 ms: one costs 1 ms more, and stragglers can be cut.

    ``n_touched`` is how many parameters an example touches: all of them, or some rows.
    Depends on the problem alone, never on who computes, so that the sums do neither.
    """
    # Forward and backward: some three multiplications for each parameter and example.
    portions = 3 * n_examples * n_touched / PORTION_MULTIPLICATIONS
    return min(n_examples, max(LEAST_PORTIONS, min(MOST_PORTIONS, math.ceil(portions))))


@dataclass
class Cut:
    """Into how many portions the batch is cut: more once one is seen to take too long.

    Args:
        portions: the count.
        most: there cannot be more.
        limit_s: seconds that computing one may take.
    """

    portions: int
    most: int
    limit_s: float

    @classmethod
    def of(cls, problem: Problem) -> Self:
        """That of a problem; raises ConfigError as :func:`portions_of` does."""
        return cls(portions_of(problem), problem.n_train, problem.config.task_seconds)

    def note(self, took_s: float) -> bool:
        """Note what one portion took; whether there are more of them for it.

        Their count is doubled as often as need be: one that takes a little more or less then
        changes nothing.
        """
        before = self.portions
        while took_s > self.limit_s and self.portions < self.most:
            self.portions, took_s = min(2 * self.portions, self.most), took_s / 2
        return self.portions > before


def _touched_parameters(problem: Problem) -> int:
    """Parameters that an example touches, on average: of sparse tensors, rows of its entries."""
    touched = (
        tensor.size // tensor.shape[0] * problem.dataset.entries_per_example
        if tensor.sparse
        else tensor.size
        for tensor in problem.model.tensors
    )
    return math.ceil(sum(touched))
