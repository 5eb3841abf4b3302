"""Gradient descent with Nesterov's momentum (Sutskever et al. 2013), as in torch.optim.SGD."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from distbelief.app.optimizers.rule import NO_SLOTS, Float64, Rule, Slots, decayed


@dataclass(frozen=True)
class Nesterov(Rule):
    """``v <- momentum * v + g; w <- w - rate * (momentum * v + g)``; twin of ``nesterov.lua``.

    An outer rule: g is what a round has changed, and the velocity is the shard's.
    """

    rate: float
    decay: float = 0.0
    momentum: float = 0.9

    name = "nesterov"
    default_rate = 1.0
    slots = ("nesterov",)

    def initial_slots(self, parameters: Float64, saved: Slots = NO_SLOTS) -> dict[str, Float64]:
        first = np.zeros(parameters.shape)
        return {"nesterov": np.asarray(saved.get("nesterov", first), np.float64)}

    def arguments(self) -> tuple[float, ...]:
        return (self.rate, self.decay, self.momentum)

    def step(
        self, gradient: Float64, values: Sequence[Float64], clock: int, staleness: int = 0
    ) -> tuple[Float64, ...]:
        parameters, velocity = values
        velocity = self.momentum * velocity + gradient
        ahead = self.momentum * velocity + gradient
        return parameters - decayed(self.rate, self.decay, clock, staleness) * ahead, velocity
