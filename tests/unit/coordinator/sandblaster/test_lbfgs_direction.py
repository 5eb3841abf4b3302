"""The direction from the Gram matrix, against the recursion on vectors and the dense inverse."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distbelief.coordinator.sandblaster.descent import Evaluate, Iterated, Settings
from distbelief.coordinator.sandblaster.lbfgs import direction_coefficients
from tests.unit.coordinator.sandblaster.problems import PROBLEMS, Array, Arrays, solve

MOST_PAIRS = 20
TOLERANCE = 1e-10

#: Columns s, columns y, and the gradient.
History = tuple[list[Array], list[Array], Array]


def from_gram(history: History) -> Array:
    """Ours: coefficients over the basis, which we put together here."""
    s, y, gradient = history
    basis = np.array([*s, *y, gradient])
    way: Array = direction_coefficients(basis @ basis.T) @ basis
    return way


def two_loops(history: History) -> Array:
    """Nocedal & Wright 2006, Alg. 7.4, with gamma from eq. 7.20."""
    s, y, gradient = history
    q, alphas = gradient.copy(), []
    for si, yi in zip(s[::-1], y[::-1], strict=True):
        alphas.append((si @ q) / (si @ yi))
        q = q - alphas[-1] * yi
    r = q * (s[-1] @ y[-1]) / (y[-1] @ y[-1]) if s else q
    for si, yi, alpha in zip(s, y, alphas[::-1], strict=True):
        r = r + si * (alpha - (yi @ r) / (si @ yi))
    return -r


def dense_inverse(history: History) -> Array:
    """The BFGS update of the inverse Hessian (eq. 6.17) from gamma times the identity."""
    s, y, gradient = history
    identity = np.eye(len(gradient))
    inverse = identity * ((s[-1] @ y[-1]) / (y[-1] @ y[-1]) if s else 1.0)
    for si, yi in zip(s, y, strict=True):
        rho = 1 / (si @ yi)
        left = identity - rho * np.outer(si, yi)
        inverse = left @ inverse @ left.T + rho * np.outer(si, si)
    return -(inverse @ gradient)


def assert_same(one: Array, other: Array) -> None:
    """Equal relative to their length."""
    assert np.linalg.norm(one - other) <= TOLERANCE * np.linalg.norm(other)


@cache
def path(name: str) -> list[History]:
    """Twenty points on the way to the minimum of a problem, each with all that lies behind it."""
    problem = PROBLEMS[name]
    space = Arrays(problem.start)
    points: list[Array] = []
    gradients: list[Array] = []

    def note(event: Evaluate | Iterated) -> None:
        if isinstance(event, Iterated):
            points.append(space[event.state.point])
            gradients.append(space[event.state.gradient])

    settings = Settings(history=MOST_PAIRS, max_iterations=150, decrease_tolerance=0)
    solve(problem.function, space, settings, on_event=note)
    s, y = list(np.diff(points, axis=0)), list(np.diff(gradients, axis=0))
    chosen = np.unique(np.linspace(0, len(points) - 1, 20).astype(int))
    return [(s[:k], y[:k], gradients[k]) for k in chosen]


def recent(history: History, m: int) -> History:
    s, y, gradient = history
    first = max(0, len(s) - m)
    return s[first:], y[first:], gradient


@pytest.mark.parametrize("m", range(MOST_PAIRS + 1))
@pytest.mark.parametrize("name", PROBLEMS)
def test_it_equals_the_two_loop_recursion_on_vectors(name: str, m: int) -> None:
    for history in path(name):
        assert_same(from_gram(recent(history, m)), two_loops(recent(history, m)))


@pytest.mark.parametrize("m", range(MOST_PAIRS + 1))
@pytest.mark.parametrize("name", PROBLEMS)
def test_it_equals_the_dense_inverse_hessian(name: str, m: int) -> None:
    for history in path(name):
        assert_same(from_gram(recent(history, m)), dense_inverse(recent(history, m)))


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Pairs of a random quadratic of condition up to 1e3: all have positive curvature."""
    size, h = draw(st.integers(1, 30)), draw(st.integers(0, MOST_PAIRS))
    condition = draw(st.floats(0, 3))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    basis, _ = np.linalg.qr(random.normal(size=(size, size)))
    matrix = basis * np.logspace(0, condition, size) @ basis.T
    s = list(random.normal(size=(h, size)))
    return s, [matrix @ each for each in s], random.normal(size=size)


@given(histories())
def test_random_pairs_give_the_directions_of_both(history: History) -> None:
    assert_same(from_gram(history), two_loops(history))
    assert_same(from_gram(history), dense_inverse(history))


@given(histories())
def test_it_descends(history: History) -> None:
    assert from_gram(history) @ history[2] < 0


@given(histories(), st.floats(-8, 8).map(lambda exponent: 10.0**exponent))
def test_units_of_the_loss_do_not_change_it(history: History, factor: float) -> None:
    s, y, gradient = history
    if s:
        scaled = (s, [factor * each for each in y], factor * gradient)
        assert_same(from_gram(scaled), from_gram(history))


def test_without_history_it_is_steepest_descent() -> None:
    assert direction_coefficients(np.array([[4.0]])).tolist() == [-1.0]


def test_the_newest_pair_is_mapped_onto_itself() -> None:
    # The secant equation H y = s, whatever the older pairs say.
    random = np.random.default_rng(0)
    matrix = np.diag([1.0, 10.0, 100.0])
    s = list(random.normal(size=(3, 3)))
    y = [matrix @ each for each in s]
    assert_same(from_gram((s, y, y[-1])), -s[-1])
