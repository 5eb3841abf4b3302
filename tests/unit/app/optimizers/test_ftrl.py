"""FTRL-Proximal against the paper's algorithm, and against what L1 is for."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from distbelief.app.optimizers.rule import Float64, local_step
from distbelief.app.optimizers.rules.ftrl import Ftrl

NUMBERS = st.floats(-1e3, 1e3)
GRADIENTS = arrays(np.float64, (6, 3), elements=NUMBERS)
RULES = st.builds(Ftrl, st.floats(0.01, 10), st.floats(0.1, 10), st.floats(0, 10), st.floats(0, 10))


def of_the_paper(rule: Ftrl, gradients: list[float]) -> float:
    """Algorithm 1 of McMahan et al. 2013 for one coordinate: predict, then update."""
    z = n = 0.0
    for g in [*gradients, 0.0]:
        if abs(z) <= rule.l1:
            w = 0.0
        else:
            sign = math.copysign(1, z)
            w = -1 / ((rule.beta + math.sqrt(n)) / rule.alpha + rule.l2) * (z - sign * rule.l1)
        sigma = 1 / rule.alpha * (math.sqrt(n + g**2) - math.sqrt(n))
        z += g - sigma * w
        n += g**2
    return w


def after(rule: Ftrl, values: tuple[Float64, ...], gradients: Float64) -> tuple[Float64, ...]:
    for clock, gradient in enumerate(gradients):
        values = rule.step(gradient, values, clock)
    return values


def begun(rule: Ftrl, parameters: Float64) -> tuple[Float64, ...]:
    return (parameters, *rule.initial_slots(parameters).values())


@given(RULES, GRADIENTS)
def test_from_zero_it_is_the_papers_algorithm(rule: Ftrl, gradients: Float64) -> None:
    parameters, _, _ = after(rule, begun(rule, np.zeros(3)), gradients)
    expected = [of_the_paper(rule, column) for column in gradients.T.tolist()]
    assert parameters.tolist() == pytest.approx(expected, rel=1e-6, abs=1e-7)


@given(RULES, arrays(np.float64, 3, elements=NUMBERS))
def test_it_begins_where_the_parameters_are(rule: Ftrl, parameters: Float64) -> None:
    """A gradient of zeros computes the parameters anew from n and z."""
    (again, _, _) = rule.step(np.zeros(3), begun(rule, parameters), 0)
    assert again.tolist() == pytest.approx(parameters.tolist(), rel=1e-9, abs=1e-9)


@given(RULES, arrays(np.float64, 3, elements=NUMBERS), GRADIENTS)
def test_it_goes_on_from_a_saved_model_as_if_it_had_not_been_saved(
    rule: Ftrl, parameters: Float64, gradients: Float64
) -> None:
    parameters, *slots = after(rule, begun(rule, parameters), gradients)
    saved = dict(zip(rule.slots, slots, strict=True))
    again = rule.initial_slots(parameters, saved)
    assert again["ftrl_n"].tolist() == saved["ftrl_n"].tolist()
    assert again["ftrl_z"].tolist() == pytest.approx(saved["ftrl_z"].tolist(), rel=1e-9, abs=1e-6)


@given(RULES, RULES, arrays(np.float64, 3, elements=NUMBERS), GRADIENTS)
def test_a_saved_model_keeps_its_parameters_under_other_settings(
    rule: Ftrl, other: Ftrl, parameters: Float64, gradients: Float64
) -> None:
    """As when the best model was saved, beside slots of the last one."""
    _, *slots = after(rule, begun(rule, parameters), gradients)
    saved = dict(zip(rule.slots, slots, strict=True))
    values = (parameters, *other.initial_slots(parameters, saved).values())
    (again, _, _) = other.step(np.zeros(3), values, 0)
    assert again.tolist() == pytest.approx(parameters.tolist(), rel=1e-6, abs=1e-6)


def test_a_copy_whose_parameters_were_replaced_steps_from_the_new_ones() -> None:
    rule = Ftrl(0.1, l1=0.5)
    _, *slots = after(rule, begun(rule, np.zeros(2)), np.full((4, 2), -3.0))
    fresh = np.array([5.0, -7.0], np.float32)
    values = [fresh, *rule.fitting(fresh, [slot.astype(np.float32) for slot in slots])]
    local_step(rule, np.full(2, 1e-3, np.float32), values, 4)
    assert values[0].tolist() == pytest.approx([5.0, -7.0], abs=1e-3)
    assert values[0][0] < 5.0
    assert values[0][1] < -7.0


def test_l1_finds_scikit_learns_few_features_in_one_pass() -> None:
    """Logistic regression: one pass comes within 0.4% of the same objective's optimum."""
    linear = pytest.importorskip("sklearn.linear_model")
    random, l1 = np.random.default_rng(5), 50.0
    weights = np.array([2.0, -2.0, 1.5, -1.5, 1.0, -1.0] + [0.0] * 54)
    x = random.normal(size=(20_000, weights.size))
    y = (random.random(len(x)) < 1 / (1 + np.exp(-x @ weights))).astype(float)

    def objective(w: Float64) -> float:
        margins = x @ w
        return float(np.sum(np.logaddexp(0, margins) - y * margins) + l1 * np.abs(w).sum())

    def learned(rule: Ftrl) -> Float64:
        values = begun(rule, np.zeros(weights.size))
        for clock, (row, label) in enumerate(zip(x, y, strict=True)):
            error = 1 / (1 + math.exp(-float(row @ values[0]))) - label
            values = rule.step(error * row, values, clock)
        return values[0]

    reference = linear.LogisticRegression(
        C=1 / l1, solver="liblinear", l1_ratio=1, fit_intercept=False
    )
    optimum = reference.fit(x, y).coef_[0]
    sparse, dense = learned(Ftrl(0.1, l1=l1)), learned(Ftrl(0.1))
    assert np.count_nonzero(dense) == weights.size
    assert np.flatnonzero(sparse[:6]).size == 6
    assert np.count_nonzero(sparse) <= np.count_nonzero(optimum) < weights.size / 2
    assert objective(optimum) < objective(sparse) < 1.004 * objective(optimum)
    assert objective(sparse) < objective(dense)
