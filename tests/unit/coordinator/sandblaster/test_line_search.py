"""The strong Wolfe search, on functions made to be hard for line searches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distbelief.coordinator.sandblaster.line_search import (
    C1,
    C2,
    MAX_EVALUATIONS,
    Point,
    low_enough,
    strong_wolfe,
)

#: phi and its slope at a step.
Phi = Callable[[float], tuple[float, float]]


@dataclass
class Searched:
    """A search: where it began, what it tried, and what it returned."""

    start: Point
    tried: list[Point] = field(default_factory=list)
    found: Point = field(init=False)

    @property
    def is_low_enough(self) -> bool:
        decrease = C1 * self.found.step * self.start.slope
        return self.found.loss <= self.start.loss + decrease

    @property
    def is_flat_enough(self) -> bool:
        return abs(self.found.slope) <= C2 * abs(self.start.slope)


def search(phi: Phi, first_step: float) -> Searched:
    searched = Searched(Point(0.0, *phi(0.0)))
    asked = strong_wolfe(searched.start.loss, searched.start.slope, first_step)
    step = next(asked)
    while True:
        searched.tried.append(Point(step, *phi(step)))
        try:
            step = asked.send(phi(step))
        except StopIteration as end:
            searched.found = end.value
            return searched


# More and Thuente 1994, "Line search algorithms with guaranteed sufficient decrease", sec. 5.


def rational(t: float) -> tuple[float, float]:
    """Concave beyond its minimum at sqrt(2): interpolation is led astray."""
    return -t / (t * t + 2), (t * t - 2) / (t * t + 2) ** 2


def steep(t: float) -> tuple[float, float]:
    """A fifth power, its minimum at 1.596."""
    u = t + 0.004
    return u**5 - 2 * u**4, 5 * u**4 - 8 * u**3


def wavy(t: float) -> tuple[float, float]:
    """A valley at 1 whose sides ripple, with many local minima."""
    beta, ripples = 0.01, 39
    if t <= 1 - beta:
        base, slope = 1 - t, -1.0
    elif t >= 1 + beta:
        base, slope = t - 1, 1.0
    else:
        base, slope = (t - 1) ** 2 / (2 * beta) + beta / 2, (t - 1) / beta
    half = ripples * math.pi / 2
    ripple = 2 * (1 - beta) / (ripples * math.pi) * math.sin(half * t)
    return base + ripple, slope + (1 - beta) * math.cos(half * t)


def yanai(beta1: float, beta2: float) -> Phi:
    """Flat in the middle and steep at one end or both (Yanai, Ozawa and Kaneko 1981)."""

    def gamma(beta: float) -> float:
        return math.sqrt(1 + beta * beta) - beta

    def phi(t: float) -> tuple[float, float]:
        left, right = math.hypot(1 - t, beta2), math.hypot(t, beta1)
        loss = gamma(beta1) * left + gamma(beta2) * right
        return loss, gamma(beta1) * (t - 1) / left + gamma(beta2) * t / right

    return phi


def parabola(t: float) -> tuple[float, float]:
    return (t - 1) ** 2, 2 * (t - 1)


def quartic(t: float) -> tuple[float, float]:
    """As flat as one likes near its minimum at 1."""
    return (t - 1) ** 4, 4 * (t - 1) ** 3


HARD: dict[str, Phi] = {
    "rational": rational,
    "steep": steep,
    "wavy": wavy,
    "flat, symmetric": yanai(0.001, 0.001),
    "flat, steep at the left": yanai(0.01, 0.001),
    "flat, steep at the right": yanai(0.001, 0.01),
    "parabola": parabola,
    "quartic": quartic,
}


@pytest.mark.parametrize("first_step", [1e-3, 0.1, 1.0, 10.0, 1e3])
@pytest.mark.parametrize("name", HARD)
def test_both_conditions_hold_at_the_point_found(name: str, first_step: float) -> None:
    searched = search(HARD[name], first_step)
    assert searched.is_low_enough
    assert searched.is_flat_enough
    assert searched.found in searched.tried
    assert len(searched.tried) <= MAX_EVALUATIONS


@pytest.mark.parametrize("first_step", [1e-9, 1e-6, 1e6])
@pytest.mark.parametrize("name", HARD)
def test_from_an_absurd_first_step_the_loss_is_lowered_all_the_same(
    name: str, first_step: float
) -> None:
    searched = search(HARD[name], first_step)
    assert searched.found.step > 0
    assert searched.is_low_enough
    assert len(searched.tried) <= MAX_EVALUATIONS


def barred(phi: Phi, barrier: float, beyond: float) -> Phi:
    """``phi`` up to a barrier; further out its loss is ``beyond``, and has no slope."""
    return lambda t: phi(t) if t < barrier else (beyond, math.nan)


@pytest.mark.parametrize("beyond", [math.inf, math.nan, -math.inf])
@pytest.mark.parametrize("barrier", [0.01, 0.5, 1.01])
@pytest.mark.parametrize("first_step", [1e-4, 0.1, 1.0, 3.0, 1e3])
def test_a_loss_that_is_not_finite_means_too_far(
    first_step: float, barrier: float, beyond: float
) -> None:
    searched = search(barred(quartic, barrier, beyond), first_step)
    assert 0 < searched.found.step < barrier
    assert searched.is_low_enough
    assert len(searched.tried) <= MAX_EVALUATIONS


def test_a_slope_that_is_not_finite_means_too_far() -> None:
    searched = search(lambda t: (-t, -1.0 if t < 0.3 else -math.inf), 1.0)
    assert 0 < searched.found.step < 0.3


def test_a_logarithmic_barrier_is_not_crossed() -> None:
    def phi(t: float) -> tuple[float, float]:
        return (-3 * t - math.log(1 - t), -3 + 1 / (1 - t)) if t < 1 else (math.inf, math.nan)

    searched = search(phi, 50.0)
    assert searched.is_low_enough
    assert searched.is_flat_enough


# --- where nothing is found


@pytest.mark.parametrize("first_step", [1e-9, 1.0, 1e9])
def test_without_any_lower_point_the_step_is_zero(first_step: float) -> None:
    searched = search(lambda t: (t, -1.0), first_step)  # its slope is a lie
    assert searched.found == searched.start
    assert len(searched.tried) <= MAX_EVALUATIONS


def test_a_loss_that_does_not_change_is_not_lower() -> None:
    # As at the end of a minimisation, where rounding hides the decrease.
    searched = search(lambda t: (1.0, -1e-30), 1.0)
    assert searched.found.step == 0


def test_a_slope_without_end_uses_all_evaluations_and_keeps_the_last_point() -> None:
    searched = search(lambda t: (-t, -1.0), 1.0)
    assert len(searched.tried) == MAX_EVALUATIONS
    assert searched.found == searched.tried[-1]


def test_a_step_is_at_most_four_stretches_of_the_last() -> None:
    searched = search(lambda t: (-t, -1.0), 1.0)
    steps = [0.0, *(point.step for point in searched.tried)]
    for before, here, after in zip(steps, steps[1:], steps[2:], strict=False):
        assert after - here <= 4 * (here - before) * (1 + 1e-12)


def test_a_jump_that_hides_the_minimum_keeps_the_lower_side() -> None:
    # Down to the jump at 1, far above after it: no point is flat enough.
    searched = search(lambda t: (-t, -1.0) if t < 1 else (5.0, -1.0), 0.3)
    assert searched.is_low_enough
    assert searched.found.step == pytest.approx(1.0, rel=0.1)


# --- any function


@st.composite
def waves(draw: st.DrawFn) -> Phi:
    """A sum of sines on a parabola that descends at zero."""
    number = st.floats(0.01, 10)
    bend, fall = draw(number), draw(number)
    sines = draw(st.lists(st.tuples(number, number), max_size=4))
    wall = draw(st.none() | st.floats(1e-3, 10))

    def phi(t: float) -> tuple[float, float]:
        if wall is not None and t > wall:
            return math.inf, math.nan
        loss, slope = bend * t * t - fall * t, 2 * bend * t - fall
        for height, pace in sines:
            # 1 - cos begins flat, so that the slope at zero stays -fall.
            loss += height * (1 - math.cos(pace * t))
            slope += height * pace * math.sin(pace * t)
        return loss, slope

    return phi


def lowest(searched: Searched) -> Iterator[Point]:
    """The start, and the points that satisfy the first condition."""
    yield searched.start
    yield from (point for point in searched.tried if low_enough(point, searched.start))


@given(waves(), st.floats(1e-8, 1e8))
def test_the_point_found_is_the_lowest_of_those_low_enough(phi: Phi, first_step: float) -> None:
    searched = search(phi, first_step)
    assert len(searched.tried) <= MAX_EVALUATIONS
    assert searched.found.loss == min(point.loss for point in lowest(searched))
    assert searched.found in [searched.start, *searched.tried]


@given(waves(), st.floats(1e-3, 1e3))
def test_a_search_that_ends_early_has_found_both_conditions(phi: Phi, first_step: float) -> None:
    searched = search(phi, first_step)
    assert searched.is_low_enough
    if len(searched.tried) < MAX_EVALUATIONS:
        assert searched.is_flat_enough


@given(waves(), st.floats(1e-3, 1e3))
def test_steps_are_positive_finite_and_never_asked_for_twice(phi: Phi, first_step: float) -> None:
    steps = [point.step for point in search(phi, first_step).tried]
    assert all(0 < step < math.inf for step in steps)
    assert len(set(steps)) == len(steps)
