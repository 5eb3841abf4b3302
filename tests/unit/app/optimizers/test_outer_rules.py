"""Outer rules: what shards do with the differences of rounds, and what they do by default."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from distbelief.app.errors import ConfigError
from distbelief.app.optimizers.outer import OuterSettings
from distbelief.app.optimizers.registry import OPTIMIZERS, build_rule, shard_rule
from distbelief.app.optimizers.rule import Float64, Rule
from distbelief.app.optimizers.rules.delayed_nesterov import DelayedNesterov
from distbelief.app.optimizers.rules.momentum import Momentum
from distbelief.app.optimizers.rules.nesterov import Nesterov
from distbelief.app.optimizers.rules.sgd import SGD
from distbelief.app.settings.config import RunConfig, configure

START = np.array([1.0, -2.0, 0.5])
DIFFERENCES = arrays(np.float64, (12, 3), elements=st.floats(-1e3, 1e3))


def after(rule: Rule, differences: npt.NDArray[np.float64]) -> Float64:
    values: tuple[Float64, ...] = (START, *rule.initial_slots(START).values())
    for clock, difference in enumerate(differences):
        values = rule.step(difference, values, clock)
    return values[0]


@given(DIFFERENCES)
def test_nesterov_moves_as_the_textbook_sum_says(differences: npt.NDArray[np.float64]) -> None:
    """Each difference counts once as it comes, and from then on with each power of the momentum."""
    rate, momentum, expected = 0.3, 0.75, START.copy()
    for t in range(len(differences)):
        for i in range(t + 1):
            expected -= rate * momentum ** (t - i + 1) * differences[i]
        expected -= rate * differences[t]
    found = after(Nesterov(rate, momentum=momentum), differences)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@given(DIFFERENCES, st.sampled_from([1, 2, 3, 4, 6, 12]))
def test_delayed_nesterov_ends_where_nesterov_does_that_gets_all_arrivals_at_once(
    differences: npt.NDArray[np.float64], arrivals: int
) -> None:
    together = differences.reshape(-1, arrivals, 3).sum(axis=1)
    delayed = after(DelayedNesterov(0.3, momentum=0.75, arrivals=arrivals), differences)
    expected = after(Nesterov(0.3, momentum=0.75), together)
    np.testing.assert_allclose(delayed, expected, rtol=1e-9, atol=1e-8)


@given(st.integers(1, 64), st.sampled_from([None, 0.0, 0.25, 0.5]))
def test_by_default_the_mean_goes_as_far_as_the_pushes_of_all_replicas(
    replicas: int, momentum: float | None
) -> None:
    """Each step is as long as so many, and the mean of n equal differences is carried so far."""
    config = RunConfig(round_steps=16, replicas=replicas, outer_momentum=momentum)
    weight = OuterSettings.of(config).step_weight
    rule = shard_rule(config)
    assert (rule == SGD(1 / replicas)) is not bool(momentum)
    moved = after(rule, np.vstack([np.ones((replicas, 3)), np.zeros((200, 3))]))
    carried = (START - moved) * weight
    if weight > 1:
        assert carried.tolist() == pytest.approx([float(replicas)] * 3)
    else:
        assert (carried >= replicas).all()


def test_one_replica_by_rounds_is_a_plain_training_by_default() -> None:
    config = RunConfig(round_steps=16, replicas=1)
    assert OuterSettings.of(config).step_weight == 1
    assert after(shard_rule(config), START[None, :] - 7.0).tolist() == [7.0, 7.0, 7.0]


@given(st.integers(2, 16), st.sampled_from(OPTIMIZERS))
def test_a_step_that_stands_for_n_goes_as_far_as_n_pushes_of_its_gradient(
    pushes: int, optimizer: str
) -> None:
    rule = build_rule(RunConfig(optimizer=optimizer, learning_rate=0.01))
    own, factor = rule.standing_for(pushes)
    gradient, steps = np.array([0.3, -2.0, 1e-3]), 200
    expected = START - after(rule, np.tile(gradient, (steps * pushes, 1)))
    found = START - after(own, np.tile(gradient * factor, (steps, 1)))
    np.testing.assert_allclose(found, expected, rtol=0.06)


@given(st.sampled_from(OPTIMIZERS))
def test_a_step_that_stands_for_one_push_is_the_rules_own(optimizer: str) -> None:
    rule = build_rule(RunConfig(optimizer=optimizer))
    assert rule.standing_for(1.0) == (rule, 1.0)


@given(st.integers(1, 64))
def test_steps_for_n_are_stable_where_exchanges_each_step_are(replicas: int) -> None:
    """On ``w * w / 2`` with gradients that are n - 1 pushes old, at the largest stable rate."""
    rate = 0.999 * 2 * math.sin(math.pi / (4 * replicas - 2))
    past = [1.0] * replicas
    for _ in range(2000):
        past = [*past[1:], past[-1] - rate * past[0]]
    assert abs(past[-1]) <= 1.5
    own, _ = SGD(rate).standing_for(replicas)
    assert abs(1 - own.rate) < 1


def test_the_settings_choose_the_outer_rule_and_its_rate_is_for_the_mean() -> None:
    def chosen(**settings: Any) -> Rule:
        usual: dict[str, Any] = {"round_steps": 8, "replicas": 4}
        usual |= {"outer_learning_rate": 0.5, "outer_momentum": 0.25}
        return shard_rule(configure(usual | settings)[0])

    assert chosen(outer_optimizer="nesterov") == Nesterov(0.125, momentum=0.25)
    delayed = DelayedNesterov(0.125, momentum=0.25, arrivals=4)
    assert chosen(outer_optimizer="delayed_nesterov") == delayed
    assert chosen() == chosen(outer_optimizer="nesterov")
    momentum = chosen(outer_optimizer="momentum")
    assert momentum == Momentum(0.125, momentum=0.25, slots=("momentum_outer",))
    assert "momentum" not in momentum.initial_slots(START, {"momentum": START})
    plain = RunConfig(optimizer="adam")
    assert shard_rule(plain) == build_rule(plain)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"outer_momentum": 0.5}, "outer_momentum is for rounds: set round_steps, too"),
        ({"round_steps": 8, "n_push": 4}, "n_push = 4 cannot be with round_steps = 8"),
        ({"round_steps": 8, "n_fetch": 1}, "n_fetch = 1 cannot be with round_steps = 8"),
        ({"round_steps": 8, "scale_by_staleness": True}, "scale_by_staleness is not for rounds"),
        ({"round_steps": 8, "warm_start_steps": 9}, "one works then; train one replica first"),
        (
            {"round_steps": 8, "optimizer": "ftrl", "ftrl_l1": 0.5},
            "ftrl_l1 = 0.5 is not for rounds: a mean over replicas has no zeros",
        ),
        ({"round_seconds": 2.0}, "round_seconds is for rounds: set round_steps, too"),
        (
            {"round_steps": 8, "round_seconds": 2.0, "outer_optimizer": "delayed_nesterov"},
            "round_seconds is not for outer_optimizer delayed_nesterov",
        ),
        ({"round_steps": 0}, "round_steps = 0 is not allowed"),
    ],
)
def test_settings_that_rounds_cannot_have_are_refused_with_what_to_do(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        configure(settings)


def test_a_round_is_pushed_and_fetched_once_whatever_interval_would_be_chosen() -> None:
    config = RunConfig(round_steps=24).with_interval(2)
    assert (config.push_interval, config.fetch_interval, config.unit_length) == (24, 24, 216)
    assert RunConfig.model_validate_json(config.model_dump_json()) == config
    assert config.unit_time == math.inf
    lasting = RunConfig(round_steps=24, round_seconds=0.5).with_interval(1)
    assert (lasting.unit_time, lasting.unit_length > 10**9) == (2.0, True)
    assert RunConfig(round_steps=24, round_seconds=0.5, unit_seconds=9.0).unit_time == 3.0
