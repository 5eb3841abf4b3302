"""The settings of rounds: replicas that work alone for some steps, and exchange what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from distbelief.app.settings.section import Section

#: Rules that shards apply to the differences which rounds make.
OuterOptimizer = Literal["momentum", "nesterov", "delayed_nesterov"]


class RoundSettings(Section):
    """Rounds"""

    round_steps: Annotated[int, Field(ge=1)] | None = Field(
        None,
        description="Downpour: steps that a replica takes with the update rule by itself before "
        "it pushes what they changed, once, and fetches (n_push and n_fetch are as many) "
        "[default: none, gradients are pushed]",
    )
    round_seconds: float | None = Field(
        None,
        gt=0,
        description="rounds: seconds that each lasts, so that slower workers take fewer steps: it "
        "ends at the next multiple of round_steps [default: none, all have round_steps]",
    )
    outer_optimizer: OuterOptimizer | None = Field(
        None,
        description="rounds: rule on the server for what rounds changed: averaging with momentum "
        "or Nesterov's, or its form for replicas that come one by one [default: nesterov]",
    )
    outer_learning_rate: float | None = Field(
        None,
        gt=0,
        description="rounds: rate of the outer rule for the mean over all replicas; 1 without "
        "momentum is averaging [default: 1]",
    )
    outer_momentum: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="rounds: share of the velocity that the outer rule keeps [default: 0]",
    )
    step_weight: float | None = Field(
        None,
        ge=1,
        description="rounds: pushes that each step of a replica stands for, as the mean over all "
        "replicas is to go as far as theirs would; 1 leaves rates as they are [default: replicas "
        "without outer_momentum, and with one as many times 1 - outer_momentum]",
    )


def complain(settings: Mapping[str, object]) -> str | None:
    """Why rounds cannot be what these settings of a run say; None if they can."""
    if settings["algorithm"] == "sandblaster":
        return None  # which goes by none of them
    length = settings["round_steps"]
    if length is None:
        outer = [name for name in RoundSettings.model_fields if settings[name] is not None]
        return f"{outer[0]} is for rounds: set round_steps, too, or leave it out" if outer else None
    for name in ("n_push", "n_fetch"):
        if settings[name] not in ("auto", length):
            return (
                f"{name} = {settings[name]} cannot be with round_steps = {length}: a round is "
                f"pushed and fetched once, so leave {name} out"
            )
    if settings["scale_by_staleness"]:
        return (
            "scale_by_staleness is not for rounds: the outer rule takes the mean over the "
            "replicas already; lower outer_learning_rate instead"
        )
    if warm := settings["warm_start_steps"]:
        return (
            f"warm_start_steps = {warm} is not for rounds: the outer rule takes the mean over all "
            "replicas, of which one works then; train one replica first, and init_from its model"
        )
    if settings["round_seconds"] is not None and settings["outer_optimizer"] == "delayed_nesterov":
        return (
            "round_seconds is not for outer_optimizer delayed_nesterov, which counts what arrives: "
            "leave out one of them"
        )
    if settings["optimizer"] == "ftrl" and settings["ftrl_l1"]:
        return (
            f"ftrl_l1 = {settings['ftrl_l1']} is not for rounds: a mean over replicas has no zeros "
            "where one of them has a number; leave out ftrl_l1 or round_steps"
        )
    return None
