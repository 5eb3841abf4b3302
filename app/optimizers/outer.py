"""The outer rule: what shards do with the difference that a round has made.

To a shard that difference, the parameters as they were fetched minus those that the steps of a
round have led to, is a gradient like any other (Douillard et al. 2023, "DiLoCo", alg. 1). A rate
is meant for the mean over all replicas. They come one by one, so each is applied with its part of
the rate as it comes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from distbelief.app.optimizers.rule import Rule
from distbelief.app.optimizers.rules.delayed_nesterov import DelayedNesterov
from distbelief.app.optimizers.rules.momentum import Momentum
from distbelief.app.optimizers.rules.nesterov import Nesterov
from distbelief.app.optimizers.rules.sgd import SGD
from distbelief.app.settings.config import RunConfig
from distbelief.app.settings.rounds import OuterOptimizer

#: The outer rule that takes a momentum where none is named.
USUAL: OuterOptimizer = "nesterov"

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


@dataclass(frozen=True)
class OuterSettings:
    """The settings of a run's outer rule, with numbers where none are given.

    By default it averages. A mean over n replicas goes a nth of the way that n gradients would
    lead to, one by one: so each step of a replica stands for n pushes (``step_weight``), the fewer
    the further a momentum carries the mean. Gradients of n replicas which exchange each step are
    n - 1 pushes old; on a quadratic that bears this, n-fold steps are stable, too.
    """

    outer_optimizer: OuterOptimizer
    outer_learning_rate: float
    outer_momentum: float
    step_weight: float

    @classmethod
    def of(cls, config: RunConfig) -> Self:
        momentum = config.outer_momentum or 0.0
        return cls(
            config.outer_optimizer or USUAL,
            config.outer_learning_rate or 1.0,
            momentum,
            config.step_weight or max(1.0, config.n_replicas * (1 - momentum)),
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def outer_rule(config: RunConfig) -> Rule:
    """The outer rule of a run with rounds; without momentum each of them is plain averaging."""
    known, replicas = OuterSettings.of(config), config.n_replicas
    rate = known.outer_learning_rate / replicas
    if not known.outer_momentum:
        return SGD(rate)
    return OUTER[known.outer_optimizer](rate, known.outer_momentum, replicas)
