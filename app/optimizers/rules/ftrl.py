"""FTRL-Proximal with L1 and L2 (McMahan et al. 2013, "Ad Click Prediction", alg. 1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from distbelief.app.optimizers.rule import NO_SLOTS, Float64, Rule, Slots
from distbelief.app.settings.sections import ObjectiveSettings


def build(settings: ObjectiveSettings) -> Rule:
    return Ftrl(
        settings.learning_rate or Ftrl.default_rate,
        settings.ftrl_beta,
        settings.ftrl_l1,
        settings.ftrl_l2,
    )


@dataclass(frozen=True)
class Ftrl(Rule):
    """Follows the regularised leader: parameters are a closed form of the sums n and z.

    ``s <- (sqrt(n + g*g) - sqrt(n)) / alpha``, ``z <- z + g - s * w``, ``n <- n + g*g``,
    then w is 0 where ``|z| <= l1``, else
    ``-(z - sign(z) * l1) / ((beta + sqrt(n)) / alpha + l2)``. Twin of ``ftrl.lua``.
    ``l1`` and ``l2`` are held against the sum of all gradients, not their mean.
    """

    alpha: float
    beta: float = 1.0
    l1: float = 0.0
    l2: float = 0.0

    name = "ftrl"
    default_rate = 0.1
    slots = ("ftrl_n", "ftrl_z")
    squares = "ftrl_n"

    def initial_slots(self, parameters: Float64, saved: Slots = NO_SLOTS) -> dict[str, Float64]:
        zeros = np.zeros(parameters.shape)
        squares, sums = (np.asarray(saved.get(name, zeros), np.float64) for name in self.slots)
        fitting = self.fitting(parameters, (squares, sums))
        return dict(zip(self.slots, fitting, strict=True))

    def fitting(
        self, parameters: npt.NDArray[Any], slots: Sequence[npt.NDArray[Any]]
    ) -> Sequence[npt.NDArray[Any]]:
        """Keep n; make z what gives these parameters, and what leaves zeros at zero."""
        squares, sums = slots
        divisor = (self.beta + np.sqrt(squares)) / self.alpha + self.l2
        # A store refuses to begin with what is not finite, and a push of it.
        with np.errstate(over="ignore", invalid="ignore"):
            given = -parameters * divisor - np.sign(parameters) * self.l1
        return squares, np.where(parameters == 0, np.clip(sums, -self.l1, self.l1) + 0.0, given)

    def arguments(self) -> tuple[float, ...]:
        """The rate does not decay: that of each number is in n already."""
        return (self.alpha, 0.0, self.beta, self.l1, self.l2)

    def standing_for(self, pushes: float) -> tuple[Self, float]:
        """As Adagrad's; what holds against the sums of gradients is as much smaller as these."""
        root = math.sqrt(pushes)
        l1, l2 = self.l1 / root, self.l2 / root
        return replace(self, alpha=self.alpha * root, l1=l1, l2=l2), root

    def step(
        self, gradient: Float64, values: Sequence[Float64], clock: int, staleness: int = 0
    ) -> tuple[Float64, ...]:
        parameters, squares, sums = values
        alpha = self.alpha / max(1, staleness)
        more = squares + gradient * gradient
        root = np.sqrt(more)
        z = sums + gradient - (root - np.sqrt(squares)) / alpha * parameters
        divisor = (self.beta + root) / alpha + self.l2
        above, below = -(z - self.l1) / divisor, -(z + self.l1) / divisor
        new = np.where(z > self.l1, above, np.where(z < -self.l1, below, 0.0))
        return new, more, z

    def rates(self, squares: Float64, clock: int) -> Float64:
        return self.alpha / (self.beta + np.sqrt(squares))
