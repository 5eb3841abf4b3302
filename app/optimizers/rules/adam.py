"""Adam (Kingma and Ba 2015, alg. 1), with the decoupled weight decay of AdamW."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from distbelief.app.optimizers.rule import NO_SLOTS, Float64, Rule, Slots, decayed
from distbelief.app.settings.sections import ObjectiveSettings


def build(settings: ObjectiveSettings) -> Rule:
    return Adam(
        settings.learning_rate or Adam.default_rate,
        settings.learning_rate_decay,
        settings.beta1,
        settings.beta2,
        settings.epsilon or Adam.epsilon,
        settings.weight_decay,
    )


@dataclass(frozen=True)
class Adam(Rule):
    """Running means of gradient and square, both corrected for their start at zero.

    With t counted from 1: ``m <- beta1 * m + (1 - beta1) * g``,
    ``v <- beta2 * v + (1 - beta2) * g*g``, ``w <- w * (1 - rate * weight_decay)
    - rate / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon)``, as
    torch.optim.Adam and AdamW. Twin of ``adam.lua``. The decay (Loshchilov and
    Hutter 2019) takes every number alike, biases too: a rule does not know which is which.
    """

    rate: float
    decay: float = 0.0
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0

    name = "adam"
    default_rate = 0.001
    slots = ("adam_m", "adam_v")
    squares = "adam_v"

    def initial_slots(self, parameters: Float64, saved: Slots = NO_SLOTS) -> dict[str, Float64]:
        """Zeros: the correction counts from this run's first update, where means are zero."""
        return {name: np.zeros(parameters.shape) for name in self.slots}

    def arguments(self) -> tuple[float, ...]:
        return (
            self.rate,
            self.decay,
            self.beta1,
            self.beta2,
            self.epsilon,
            self.weight_decay,
        )

    def standing_for(self, pushes: float) -> tuple[Self, float]:
        """Means forget by one step what they would by so many (Busbridge et al. 2023)."""
        beta1, beta2 = self.beta1**pushes, self.beta2**pushes
        return replace(self.paced(pushes), beta1=beta1, beta2=beta2), 1.0

    def step(
        self, gradient: Float64, values: Sequence[Float64], clock: int, staleness: int = 0
    ) -> tuple[Float64, ...]:
        parameters, first, second = values
        first = self.beta1 * first + (1 - self.beta1) * gradient
        second = self.beta2 * second + (1 - self.beta2) * gradient * gradient
        rate = decayed(self.rate, self.decay, clock, staleness)
        step = rate / (1 - power(self.beta1, clock + 1))
        root = math.sqrt(1 - power(self.beta2, clock + 1))
        kept = parameters * (1 - rate * self.weight_decay)
        return kept - step * first / (np.sqrt(second) / root + self.epsilon), first, second

    def rates(self, squares: Float64, clock: int) -> Float64:
        t = max(1, clock)  # before any update those of the first one
        step = decayed(self.rate, self.decay, clock) / (1 - power(self.beta1, t))
        unbiased = np.sqrt(squares) / math.sqrt(1 - power(self.beta2, t))
        return step / (unbiased + self.epsilon)


def power(base: float, exponent: int) -> float:
    """By squaring, as the script does: pow() of C libraries differs in the last bit."""
    result = 1.0
    while exponent > 0:
        if exponent % 2 == 1:
            result = result * base
        base = base * base
        exponent //= 2
    return result
