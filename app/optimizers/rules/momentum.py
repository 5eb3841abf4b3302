"""Gradient descent with momentum (Polyak 1964), as in torch.optim.SGD."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from distbelief.app.optimizers.rule import NO_SLOTS, Float64, Rule, Slots, decayed
from distbelief.app.settings.sections import ObjectiveSettings


def build(settings: ObjectiveSettings) -> Rule:
    return Momentum(
        settings.learning_rate or Momentum.default_rate,
        settings.learning_rate_decay,
        settings.momentum,
    )


@dataclass(frozen=True)
class Momentum(Rule):
    """``v <- momentum * v + g; w <- w - rate * v``; twin of ``momentum.lua``.

    The velocity is the shard's: gradients of all replicas run into it. As an outer rule it has
    a slot of another name, since what rounds change are no gradients.
    """

    rate: float
    decay: float = 0.0
    momentum: float = 0.9
    slots: tuple[str, ...] = ("momentum",)

    name = "momentum"
    default_rate = 0.005

    def initial_slots(self, parameters: Float64, saved: Slots = NO_SLOTS) -> dict[str, Float64]:
        first = np.zeros(parameters.shape)
        return {name: np.asarray(saved.get(name, first), np.float64) for name in self.slots}

    def arguments(self) -> tuple[float, ...]:
        return (self.rate, self.decay, self.momentum)

    def step(
        self, gradient: Float64, values: Sequence[Float64], clock: int, staleness: int = 0
    ) -> tuple[Float64, ...]:
        parameters, velocity = values
        velocity = self.momentum * velocity + gradient
        return parameters - decayed(self.rate, self.decay, clock, staleness) * velocity, velocity
