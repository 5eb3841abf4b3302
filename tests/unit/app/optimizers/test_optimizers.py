"""The update rules against a loop over plain Python floats, and against closed forms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from distbelief.app.optimizers.registry import NAMES, build_rule
from distbelief.app.optimizers.rule import STRETCH, Float64, Rule, decayed, local_step
from distbelief.app.optimizers.rules.adagrad import Adagrad
from distbelief.app.optimizers.rules.adam import Adam
from distbelief.app.optimizers.rules.ftrl import Ftrl
from distbelief.app.optimizers.rules.momentum import Momentum
from distbelief.app.optimizers.rules.rmsprop import RMSProp
from distbelief.app.optimizers.rules.sgd import SGD
from distbelief.app.settings.config import configure
from tests.rules import rule_of

PARAMETERS = np.array([1.0, -2.0, 0.5])
GRADIENTS = arrays(np.float64, (5, 3), elements=st.floats(-1e6, 1e6))
RATES = st.floats(1e-6, 10)
DECAYS = st.sampled_from([0.0, 1e-3, 0.5, 7.0])


def trained(rule: Rule, gradients: npt.NDArray[np.float64]) -> tuple[Float64, ...]:
    """Parameters and slots after applying ``gradients`` one after another."""
    values: tuple[Float64, ...] = (PARAMETERS, *rule.initial_slots(PARAMETERS).values())
    for clock, gradient in enumerate(gradients):
        values = rule.step(gradient, values, clock)
    return values


@given(GRADIENTS, RATES, DECAYS)
def test_sgd_is_the_textbook_loop(
    gradients: npt.NDArray[np.float64], rate: float, decay: float
) -> None:
    expected = PARAMETERS.tolist()
    for clock, gradient in enumerate(gradients.tolist()):
        for i, g in enumerate(gradient):
            expected[i] -= rate / (1 + decay * clock) * g
    (parameters,) = trained(SGD(rate, decay), gradients)
    assert parameters.tolist() == pytest.approx(expected, rel=1e-12, abs=1e-12)


@given(GRADIENTS, RATES, DECAYS)
def test_adagrad_is_the_textbook_loop(
    gradients: npt.NDArray[np.float64], rate: float, decay: float
) -> None:
    weights, sums = PARAMETERS.tolist(), [0.1] * PARAMETERS.size
    for clock, gradient in enumerate(gradients.tolist()):
        for i, g in enumerate(gradient):
            sums[i] += g**2
            weights[i] -= rate / (1 + decay * clock) * g / (math.sqrt(sums[i]) + 1e-10)
    parameters, accumulator = trained(Adagrad(rate, decay), gradients)
    assert parameters.tolist() == pytest.approx(weights, rel=1e-12, abs=1e-12)
    assert accumulator.tolist() == pytest.approx(sums, rel=1e-12)


def test_the_first_adagrad_step_without_an_accumulator_is_as_long_as_the_rate() -> None:
    rule = Adagrad(0.25, epsilon=1e-300, initial_accumulator=0.0)
    parameters, _ = trained(rule, np.array([[1e-3, -4.0, 5e5]]))
    assert (PARAMETERS - parameters).tolist() == pytest.approx([0.25, -0.25, 0.25])


def test_equal_adagrad_steps_shrink_with_the_root_of_their_number() -> None:
    rule = Adagrad(1.0, epsilon=1e-300, initial_accumulator=0.0)
    parameters, _ = trained(rule, np.full((4, 3), 2.0))
    expected = sum(1 / math.sqrt(t) for t in range(1, 5))
    assert (PARAMETERS - parameters).tolist() == pytest.approx([expected] * 3)


def test_decay_halves_the_rate_after_one_over_decay_updates() -> None:
    assert decayed(0.3, 0.01, 100) == pytest.approx(0.15)


@pytest.mark.parametrize("optimizer", NAMES)
def test_a_rule_leaves_its_inputs_alone(optimizer: str) -> None:
    rule = rule_of(optimizer)
    values = [PARAMETERS.copy(), *rule.initial_slots(PARAMETERS).values()]
    gradient = np.array([1.0, 2.0, 3.0])
    before = [each.copy() for each in (*values, gradient)]
    rule.step(gradient, values, 3)
    for now, then in zip((*values, gradient), before, strict=True):
        assert np.array_equal(now, then)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_local_step_writes_in_place_in_the_dtype_of_the_copy(
    dtype: type[np.floating],
) -> None:
    rule = Adagrad(0.1, 0.5)
    values = [PARAMETERS.astype(dtype), np.full(3, 0.1, dtype)]
    addresses = [value.ctypes.data for value in values]
    old = [value.copy() for value in values]
    gradient = np.array([0.1, 0.2, 0.3], dtype)
    local_step(rule, gradient, values, 4)
    expected = rule.step(gradient, old, 4)
    assert [value.ctypes.data for value in values] == addresses
    assert [value.dtype for value in values] == [dtype, dtype]
    for value, exact in zip(values, expected, strict=True):
        assert value.tobytes() == exact.tobytes()


def test_a_long_copy_is_stepped_in_stretches_as_if_at_once() -> None:
    rng, rule = np.random.default_rng(0), Adam(0.1, weight_decay=0.1)
    size = 2 * STRETCH + 3
    drawn: npt.NDArray[Any] = rng.normal(size=(4, size)).astype(np.float32) ** 2
    gradient, *values = drawn
    expected = rule.step(gradient, [value.copy() for value in values], 4)
    local_step(rule, gradient, values, 4)
    for value, exact in zip(values, expected, strict=True):
        assert np.array_equal(value, exact)


def test_a_local_step_that_overflows_does_not_warn() -> None:
    values = [np.ones(3, np.float32)]
    local_step(SGD(1.0), np.full(3, -3e38), values, 0)
    local_step(SGD(1.0), np.full(3, -3e38), values, 0)
    assert np.isinf(values[0]).all()


def test_the_settings_choose_and_fill_in_the_rule() -> None:
    settings = {"learning_rate": 0.5, "learning_rate_decay": 0.25}
    sgd, _ = configure({**settings, "optimizer": "sgd"})
    adagrad, _ = configure({**settings, "epsilon": 1e-3, "initial_accumulator": 0.75})
    assert build_rule(sgd) == SGD(0.5, 0.25)
    assert build_rule(adagrad) == Adagrad(0.5, 0.25, 1e-3, 0.75)


MEANS = {"beta1": 0.5, "beta2": 0.25, "smoothing": 0.75, "momentum": 0.125, "weight_decay": 0.3}
PENALTIES = {"ftrl_beta": 2.0, "ftrl_l1": 3.0, "ftrl_l2": 4.0}


@pytest.mark.parametrize(
    "rule",
    [
        Momentum(0.5, 0.25, momentum=0.125),
        RMSProp(0.5, 0.25, smoothing=0.75, epsilon=1e-8),
        Adam(0.5, 0.25, beta1=0.5, beta2=0.25, epsilon=1e-8, weight_decay=0.3),
        Ftrl(0.5, beta=2.0, l1=3.0, l2=4.0),
    ],
    ids=lambda rule: rule.name,
)
def test_the_settings_reach_the_rule_by_its_names(rule: Rule) -> None:
    decay = {} if rule.name == "ftrl" else {"learning_rate_decay": 0.25}
    settings = {"optimizer": rule.name, "learning_rate": 0.5, **decay, **MEANS, **PENALTIES}
    assert build_rule(configure(settings)[0]) == rule


def test_the_epsilon_of_a_rule_is_the_one_that_is_set_or_torchs() -> None:
    for optimizer, usual in (("adagrad", 1e-10), ("rmsprop", 1e-8), ("adam", 1e-8)):
        for settings, epsilon in (({}, usual), ({"epsilon": 0.5}, 0.5)):
            rule = build_rule(configure({"optimizer": optimizer, **settings})[0])
            assert epsilon in rule.arguments()


@given(st.integers(0, 1000), st.integers(-3, 9))
def test_a_stale_push_goes_at_the_rate_divided_by_its_staleness(clock: int, staleness: int) -> None:
    scaled, rate = decayed(0.3, 0.5, clock, staleness), decayed(0.3, 0.5, clock)
    assert scaled == (rate / staleness if staleness > 1 else rate)
