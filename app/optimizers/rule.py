"""Update rules: hyper-parameters, slots, and the NumPy twin of each server script.

A twin computes in float64 in the same order as its script, and the store rounds once on
writing, so script and twin agree bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]


class Rule(Protocol):
    """An update rule that shards apply to the gradients pushed to them."""

    @property
    def name(self) -> str:
        """The script is ``push_<name>.lua``."""
        ...

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of the vectors of state beside the parameters."""
        ...

    def initial_slots(self, size: int) -> dict[str, npt.NDArray[np.float64]]:
        """First values of every slot, each of shape (size,)."""
        ...

    def arguments(self) -> tuple[float, ...]:
        """Rate, decay of the rate, and what else the script takes, in its order."""
        ...

    def step(self, gradient: Float64, values: Sequence[Float64], clock: int) -> tuple[Float64, ...]:
        """New (parameters, slots...) from old ones, all of one shape, in float64."""
        ...


def decayed(rate: float, decay: float, clock: int) -> float:
    """The rate after ``clock`` applied pushes: rate / (1 + decay * clock)."""
    return rate / (1 + decay * clock)


def local_step(
    rule: Rule, gradient: npt.NDArray[Any], values: Sequence[npt.NDArray[Any]], clock: int
) -> None:
    """Apply ``rule`` in place to a replica's own copy, rounding to its dtype."""
    old = [value.astype(np.float64) for value in values]
    with np.errstate(over="ignore", invalid="ignore"):
        for value, new in zip(
            values, rule.step(gradient.astype(np.float64), old, clock), strict=True
        ):
            value[...] = new
