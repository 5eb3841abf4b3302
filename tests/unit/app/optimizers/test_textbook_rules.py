"""Momentum, RMSProp and Adam against loops over plain Python floats."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from distbelief.app.optimizers.rule import Float64, Rule
from distbelief.app.optimizers.rules.adam import Adam, power
from distbelief.app.optimizers.rules.momentum import Momentum
from distbelief.app.optimizers.rules.rmsprop import RMSProp

START = np.array([1.0, -2.0, 0.5])
GRADIENTS = arrays(np.float64, (6, 3), elements=st.floats(-1e3, 1e3))
RATE, DECAY = 0.3, 0.125

#: From the gradients of one number, one after another, to how far it moves at each.
Path = Callable[[list[float]], Iterator[float]]


def rate(step: int) -> float:
    return RATE / (1 + DECAY * step)


def by_momentum(gradients: list[float]) -> Iterator[float]:
    """All gradients so far, each as often multiplied with 0.75 as it is steps old."""
    for t in range(len(gradients)):
        yield -rate(t) * sum(0.75 ** (t - i) * gradients[i] for i in range(t + 1))


def by_rmsprop(gradients: list[float]) -> Iterator[float]:
    for t in range(len(gradients)):
        mean = sum(0.25 * 0.75 ** (t - i) * gradients[i] ** 2 for i in range(t + 1))
        yield -rate(t) * gradients[t] / (math.sqrt(mean) + 1e-3)


def by_adam(gradients: list[float]) -> Iterator[float]:
    """The corrected means are plain weighted ones: their weights add up to 1."""
    for t in range(len(gradients)):
        first = [0.75 ** (t - i) for i in range(t + 1)]
        second = [0.5 ** (t - i) for i in range(t + 1)]
        mean = sum(w * g for w, g in zip(first, gradients, strict=False)) / sum(first)
        square = sum(w * g * g for w, g in zip(second, gradients, strict=False)) / sum(second)
        yield -rate(t) * mean / (math.sqrt(square) + 1e-3)


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        (Momentum(RATE, DECAY, momentum=0.75), by_momentum),
        (RMSProp(RATE, DECAY, smoothing=0.75, epsilon=1e-3), by_rmsprop),
        (Adam(RATE, DECAY, beta1=0.75, beta2=0.5, epsilon=1e-3), by_adam),
    ],
    ids=["momentum", "rmsprop", "adam"],
)
@given(gradients=GRADIENTS)
def test_a_rule_moves_each_number_as_the_textbook_sum_says(
    rule: Rule, path: Path, gradients: npt.NDArray[np.float64]
) -> None:
    expected = [
        start + sum(path(column)) for start, column in zip(START, gradients.T.tolist(), strict=True)
    ]
    values: tuple[Float64, ...] = (START, *rule.initial_slots(START).values())
    for clock, gradient in enumerate(gradients):
        values = rule.step(gradient, values, clock)
    assert values[0].tolist() == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_weight_decay_shrinks_what_has_no_gradient_by_the_rate_times_it() -> None:
    rule = Adam(0.5, weight_decay=0.25)
    values: tuple[Float64, ...] = (START, *rule.initial_slots(START).values())
    for clock in range(3):
        values = rule.step(np.zeros(3), values, clock)
    assert values[0].tolist() == (START * (1 - 0.5 * 0.25) ** 3).tolist()


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 10**6))
def test_a_power_by_squaring_is_the_power(base: float, exponent: int) -> None:
    exact = base**exponent
    assert power(base, exponent) == pytest.approx(exact, rel=1e-9, abs=1e-300)
