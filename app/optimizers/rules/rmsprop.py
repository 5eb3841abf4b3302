"""RMSProp (Tieleman and Hinton 2012, lecture 6.5), as in torch.optim.RMSprop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from distbelief.app.optimizers.rule import NO_SLOTS, Float64, Rule, Slots, decayed
from distbelief.app.settings.sections import ObjectiveSettings


def build(settings: ObjectiveSettings) -> Rule:
    return RMSProp(
        settings.learning_rate or RMSProp.default_rate,
        settings.learning_rate_decay,
        settings.smoothing,
        settings.epsilon or RMSProp.epsilon,
    )


@dataclass(frozen=True)
class RMSProp(Rule):
    """Divides a gradient by the root of a running mean of its squares.

    ``s <- smoothing * s + (1 - smoothing) * g*g; w <- w - rate * g / (sqrt(s) + epsilon)``.
    Twin of ``rmsprop.lua``.
    """

    rate: float
    decay: float = 0.0
    smoothing: float = 0.99
    epsilon: float = 1e-8

    name = "rmsprop"
    default_rate = 0.001
    slots = ("rmsprop",)
    squares = "rmsprop"

    def initial_slots(self, parameters: Float64, saved: Slots = NO_SLOTS) -> dict[str, Float64]:
        first = np.zeros(parameters.shape)
        return {"rmsprop": np.asarray(saved.get("rmsprop", first), np.float64)}

    def arguments(self) -> tuple[float, ...]:
        return (self.rate, self.decay, self.smoothing, self.epsilon)

    def standing_for(self, pushes: float) -> tuple[Self, float]:
        return replace(self.paced(pushes), smoothing=self.smoothing**pushes), 1.0

    def step(
        self, gradient: Float64, values: Sequence[Float64], clock: int, staleness: int = 0
    ) -> tuple[Float64, ...]:
        parameters, squares = values
        mean = self.smoothing * squares + (1 - self.smoothing) * gradient * gradient
        rate = decayed(self.rate, self.decay, clock, staleness)
        return parameters - rate * gradient / (np.sqrt(mean) + self.epsilon), mean

    def rates(self, squares: Float64, clock: int) -> Float64:
        return decayed(self.rate, self.decay, clock) / (np.sqrt(squares) + self.epsilon)
