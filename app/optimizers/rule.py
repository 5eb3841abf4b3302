"""Update rules: hyper-parameters, slots, and the NumPy twin of each server script.

A twin computes in float64 in the same order as its script, and the store rounds once on
writing, so script and twin agree bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]
Slots = Mapping[str, npt.NDArray[Any]]

NO_SLOTS: Slots = {}

#: Numbers of a copy that are computed together: what lies between fits into the processor's cache.
STRETCH = 16_384


class Rule(Protocol):
    """An update rule that shards apply to the gradients pushed to them."""

    @property
    def name(self) -> str:
        """The setting ``optimizer``, and the rule's files in ``app/optimizers/rules``."""
        ...

    @property
    def default_rate(self) -> float:
        """The rate where none is set: on standardised columns it trains well."""
        ...

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of the vectors of state beside the parameters."""
        ...

    @property
    def squares(self) -> str | None:
        """The slot with each number's squared gradients, by which it has a rate of its own.

        None if one rate is for all numbers.
        """
        return None

    def initial_slots(self, parameters: Float64, saved: Slots = NO_SLOTS) -> dict[str, Float64]:
        """First values of every slot beside the first ``parameters``, of the same shape.

        ``saved`` are those of an earlier training; a rule takes over what still holds.
        """
        ...

    def fitting(
        self, parameters: npt.NDArray[Any], slots: Sequence[npt.NDArray[Any]]
    ) -> Sequence[npt.NDArray[Any]]:
        """The slots of a copy, after its parameters have been replaced by these."""
        return slots

    def arguments(self) -> tuple[float, ...]:
        """Rate, decay of the rate, and what else the script takes, in its order."""
        ...

    def paced(self, share: float) -> Self:
        """The rule with this share of its rate."""
        return self if share == 1 else replace(self, rate=self.arguments()[0] * share)  # type: ignore[type-var]

    def standing_for(self, pushes: float) -> tuple[Self, float]:
        """A rule that by one step goes as far as by so many pushes of a gradient.

        And what that gradient is to be multiplied by first.
        """
        return self.paced(pushes), 1.0

    def step(
        self, gradient: Float64, values: Sequence[Float64], clock: int, staleness: int = 0
    ) -> tuple[Float64, ...]:
        """New (parameters, slots...) from old ones, all of one shape; a shard's in float64.

        Each number is computed from those at its own place alone. ``clock`` counts the
        updates that the shard applied before this one, ``staleness`` those of others among
        them by which the rate is to be divided.
        """
        ...

    def rates(self, squares: Float64, clock: int) -> Float64:
        """The learning rate of each number after ``clock`` updates, given its ``squares``.

        It is what a gradient, or its mean, is multiplied by.
        """
        rate, decay, *_ = self.arguments()
        return np.full(squares.shape, decayed(rate, decay, clock))


def decayed(rate: float, decay: float, clock: int, staleness: int = 0) -> float:
    """The rate after ``clock`` applied pushes, for a push of that staleness."""
    return rate / (1 + decay * clock) / max(1, staleness)


def local_step(
    rule: Rule, gradient: npt.NDArray[Any], values: Sequence[npt.NDArray[Any]], clock: int
) -> None:
    """Apply ``rule`` in place to a replica's own copy: C-ordered arrays of one shape and dtype.

    A copy lives for a few steps, so it is computed in its own dtype, at half the cost of
    float64. Twin of ``distbelief_step`` of the native engine.
    """
    flat = [value.reshape(-1) for value in (gradient, *values)]
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, gradient.size, STRETCH):
            part, *old = (each[start : start + STRETCH] for each in flat)
            for value, new in zip(old, rule.step(part, old, clock), strict=True):
                value[...] = new
