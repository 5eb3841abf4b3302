"""Delayed Nesterov (Liu et al. 2024, "Asynchronous Local-SGD Training", with c = 0)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from distbelief.app.optimizers.rule import NO_SLOTS, Float64, Rule, Slots, decayed


@dataclass(frozen=True)
class DelayedNesterov(Rule):
    """Descends by each g as it comes; by the velocity once in so many ``arrivals``.

    ``s <- s + g``; if that was the last of them, ``v <- momentum * v + s``,
    ``w <- w - rate * (momentum * v + g)`` and ``s <- 0``, else ``w <- w - rate * g``. So
    that many replicas, which come one by one, move the velocity as one synchronous round
    of theirs would. With one arrival it is Nesterov's momentum. Twin of
    ``delayed_nesterov.lua``.
    """

    rate: float
    decay: float = 0.0
    momentum: float = 0.9
    arrivals: int = 1

    name = "delayed_nesterov"
    default_rate = 1.0
    slots = ("delayed_nesterov", "delayed_nesterov_sum")

    def initial_slots(self, parameters: Float64, saved: Slots = NO_SLOTS) -> dict[str, Float64]:
        first = np.zeros(parameters.shape)
        return {name: np.asarray(saved.get(name, first), np.float64) for name in self.slots}

    def arguments(self) -> tuple[float, ...]:
        return (self.rate, self.decay, self.momentum, self.arrivals)

    def step(
        self, gradient: Float64, values: Sequence[Float64], clock: int, staleness: int = 0
    ) -> tuple[Float64, ...]:
        parameters, velocity, total = values
        rate = decayed(self.rate, self.decay, clock, staleness)
        total = total + gradient
        if (clock + 1) % self.arrivals:
            return parameters - rate * gradient, velocity, total
        velocity = self.momentum * velocity + total
        ahead = self.momentum * velocity + gradient
        return parameters - rate * ahead, velocity, np.zeros_like(total)
