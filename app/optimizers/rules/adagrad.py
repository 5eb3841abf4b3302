"""Adagrad (Duchi, Hazan and Singer 2011), as in Dean et al. 2012, sec. 4.1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from distbelief.app.optimizers.rule import NO_SLOTS, Float64, Rule, Slots, decayed
from distbelief.app.settings.sections import ObjectiveSettings


def build(settings: ObjectiveSettings) -> Rule:
    return Adagrad(
        settings.learning_rate or Adagrad.default_rate,
        settings.learning_rate_decay,
        settings.epsilon or Adagrad.epsilon,
        settings.initial_accumulator,
    )


@dataclass(frozen=True)
class Adagrad(Rule):
    """``acc <- acc + g*g; w <- w - rate * g / (sqrt(acc) + epsilon)``.

    Twin of ``adagrad.lua``. The paper prints neither an epsilon nor an initial
    accumulator; both only keep the first steps finite.
    """

    rate: float
    decay: float = 0.0
    epsilon: float = 1e-10
    initial_accumulator: float = 0.1

    name = "adagrad"
    default_rate = 0.05
    slots = ("adagrad",)
    squares = "adagrad"

    def initial_slots(self, parameters: Float64, saved: Slots = NO_SLOTS) -> dict[str, Float64]:
        first = np.full(parameters.shape, self.initial_accumulator)
        return {"adagrad": np.asarray(saved.get("adagrad", first), np.float64)}

    def arguments(self) -> tuple[float, ...]:
        return (self.rate, self.decay, self.epsilon, self.initial_accumulator)

    def standing_for(self, pushes: float) -> tuple[Self, float]:
        """Both the step and the squares are those of so many, without another argument."""
        root = math.sqrt(pushes)
        return self.paced(root), root

    def step(
        self, gradient: Float64, values: Sequence[Float64], clock: int, staleness: int = 0
    ) -> tuple[Float64, ...]:
        parameters, accumulator = values
        total = accumulator + gradient * gradient
        rate = decayed(self.rate, self.decay, clock, staleness)
        return parameters - rate * gradient / (np.sqrt(total) + self.epsilon), total

    def rates(self, squares: Float64, clock: int) -> Float64:
        return decayed(self.rate, self.decay, clock) / (np.sqrt(squares) + self.epsilon)
