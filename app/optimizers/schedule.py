"""Schedules: the share of a rule's rate with which each step of a stream is applied.

A share is a pure function of the step and of the stream's plan, so a push that is made again has
the rate that it had. ``inverse`` goes by the updates that a shard applied, and shards see to it
(:func:`distbelief.app.optimizers.rule.decayed`). Only with rounds, whose steps shards do not see,
it is here, and goes by the steps that all replicas have made when this one has made so many.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from distbelief.app.settings.config import RunConfig

#: From these shares of the plan on, ``step`` applies these shares of the rate (He et al. 2016,
#: "Deep Residual Learning", sec. 4.2).
DROPS = ((0.75, 0.01), (0.5, 0.1), (0.0, 1.0))


def _stepped(done: float) -> float:
    return next(share for since, share in DROPS if done >= since)


def _cosine(done: float) -> float:
    """Loshchilov & Hutter 2017, "SGDR", eq. 5, without restarts."""
    return 0.5 * (1 + math.cos(math.pi * done))


#: The share of the rate when some share of the plan is done, from 0 to below 1.
SHAPES: Mapping[str, Callable[[float], float]] = {"step": _stepped, "cosine": _cosine}


@dataclass(frozen=True)
class Schedule:
    """The schedule of a stream of ``total`` steps, in the first ``warm_up`` of which it rises.

    ``decay`` is what each step adds to the divisor of the rate.
    """

    name: str | None
    total: int
    warm_up: float
    decay: float = 0.0

    @classmethod
    def of(cls, config: RunConfig, steps_per_pass: int) -> Schedule:
        total = steps_per_pass * config.n_passes
        decay = config.learning_rate_decay * config.n_streams if config.round_steps else 0.0
        return cls(config.schedule, total, steps_per_pass * config.warm_up, decay)

    def share(self, step: int) -> float:
        """The share of the rate for step number ``step``, counted from 0."""
        risen = min(1.0, (step + 1) / self.warm_up) if self.warm_up else 1.0
        risen /= 1 + self.decay * step
        shape = SHAPES.get(self.name or "")
        return risen * shape(min(1.0, step / self.total)) if shape else risen
