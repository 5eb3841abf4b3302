"""Plain stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from distbelief.app.optimizers.rule import NO_SLOTS, Float64, Rule, Slots, decayed
from distbelief.app.settings.sections import ObjectiveSettings


def build(settings: ObjectiveSettings) -> Rule:
    return SGD(settings.learning_rate or SGD.default_rate, settings.learning_rate_decay)


@dataclass(frozen=True)
class SGD(Rule):
    """``w <- w - rate * g``; twin of ``sgd.lua``."""

    rate: float
    decay: float = 0.0

    name = "sgd"
    default_rate = 0.05
    slots = ()

    def initial_slots(self, parameters: Float64, saved: Slots = NO_SLOTS) -> dict[str, Float64]:
        return {}

    def arguments(self) -> tuple[float, ...]:
        return (self.rate, self.decay)

    def step(
        self, gradient: Float64, values: Sequence[Float64], clock: int, staleness: int = 0
    ) -> tuple[Float64, ...]:
        (parameters,) = values
        return (parameters - decayed(self.rate, self.decay, clock, staleness) * gradient,)
