"""The outer rule: what shards do with the difference that a round has made.

To a shard that difference, the parameters as they were fetched minus those that the steps of a
round have led to, is a gradient like any other (Douillard et al. 2023, "DiLoCo", alg. 1). A rate
is meant for the mean over all replicas. They come one by one, so each is applied with its part of
the rate as it comes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from distbelief.app.optimizers.rule import Rule
from distbelief.app.optimizers.rules.delayed_nesterov import DelayedNesterov
from distbelief.app.optimizers.rules.momentum import Momentum
from distbelief.app.optimizers.rules.nesterov import Nesterov
from distbelief.app.settings.config import RunConfig
from distbelief.app.settings.rounds import OuterOptimizer

#: How far a velocity may carry a mean at most: 1 / (1 - this).
MOST_MOMENTUM = 0.9

#: Velocities of rounds have a name of their own: those of gradients would be another thing.
VELOCITY = ("momentum_outer",)

#: From the part of the rate, the momentum, and the replicas.
OUTER: Mapping[OuterOptimizer, Callable[[float, float, int], Rule]] = {
    "momentum": lambda rate, momentum, _: Momentum(rate, momentum=momentum, slots=VELOCITY),
    "nesterov": lambda rate, momentum, _: Nesterov(rate, momentum=momentum),
    "delayed_nesterov": lambda rate, momentum, replicas: DelayedNesterov(
        rate, momentum=momentum, arrivals=replicas
    ),
}


def outer_settings(config: RunConfig) -> dict[str, object]:
    """The settings of a run's outer rule, with numbers where none are given."""
    momentum = config.outer_momentum
    if momentum is None:
        momentum = min(MOST_MOMENTUM, 1 - 1 / config.replicas)
    return {
        "outer_optimizer": config.outer_optimizer or "momentum",
        "outer_learning_rate": config.outer_learning_rate or 1.0,
        "outer_momentum": momentum,
    }


def outer_rule(config: RunConfig) -> Rule:
    """The outer rule of a run with rounds."""
    known = config.model_copy(update=outer_settings(config))
    assert known.outer_optimizer and known.outer_learning_rate and known.outer_momentum is not None
    rate = known.outer_learning_rate / known.replicas
    return OUTER[known.outer_optimizer](rate, known.outer_momentum, known.replicas)
