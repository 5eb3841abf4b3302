"""A minimisation that says that it converged is at the minimum, whatever the units of its data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression

from distbelief.coordinator.progress.outcome import EndReason
from distbelief.coordinator.sandblaster.descent import DescentState, Settings
from tests.unit.coordinator.sandblaster.problems import Array, Arrays, Function, solve

CONVERGED = {EndReason.GRADIENT, EndReason.DECREASE}


def log_loss(x: Array, y: Array, l2: float) -> Function:
    """The mean log loss of weights and a bias with the L2 term."""

    def function(w: Array) -> tuple[float, Array]:
        log_odds = x @ w[:-1] + w[-1]
        loss = np.logaddexp(0, np.where(y == 1, -log_odds, log_odds)).mean()
        residuals = (0.5 * (1 + np.tanh(log_odds / 2)) - y) / len(y)
        gradient = np.append(x.T @ residuals + l2 * w[:-1], residuals.sum())
        return float(loss + 0.5 * l2 * w[:-1] @ w[:-1]), gradient

    return function


def least_squares(x: Array, y: Array) -> Function:
    columns = np.c_[x, np.ones(len(x))]

    def function(w: Array) -> tuple[float, Array]:
        residuals = columns @ w - y
        return 0.5 * float(np.mean(residuals**2)), columns.T @ residuals / len(y)

    return function


def houses(n: int = 800) -> tuple[Array, Array]:
    """Prices, and what they depend on in natural units."""
    rng = np.random.default_rng(0)
    income, age, people = rng.gamma(4, 1, n), rng.integers(1, 53, n), rng.lognormal(7, 0.7, n)
    latitude, longitude = rng.uniform(32, 42, n), rng.uniform(-124, -114, n)
    prices = 4e4 * income + 1e3 * age - 3e4 * (latitude - 37) - 2e4 * (longitude + 119)
    x = np.c_[income, age, people, latitude, longitude]
    return x, 2e5 + prices + rng.normal(0, 5e4, n)


def test_raw_breast_cancer_is_at_the_optimum_of_scikit_learn_when_it_has_converged() -> None:
    x, y = load_breast_cancer(return_X_y=True)
    l2 = 1 / len(y)
    function = log_loss(x, y, l2)
    theirs = LogisticRegression(solver="newton-cholesky", tol=1e-10, max_iter=1000).fit(x, y)
    best, _ = function(np.append(theirs.coef_, theirs.intercept_))
    ended = solve(function, Arrays(np.zeros(x.shape[1] + 1)), Settings(max_iterations=20_000))
    assert ended.reason in CONVERGED
    assert ended.last.loss == pytest.approx(best, rel=1e-4)
    early = solve(function, Arrays(np.zeros(x.shape[1] + 1)), Settings())
    assert early.reason is EndReason.ITERATIONS


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_least_squares_of_raw_house_prices_converge_to_the_optimum_in_any_unit(unit: float) -> None:
    x, y = houses()
    columns, targets = np.c_[x, np.ones(len(x))], y / y.std() * unit
    best, *_ = np.linalg.lstsq(columns, targets, rcond=None)
    function = least_squares(x, targets)
    start = Arrays(np.zeros(x.shape[1] + 1))
    ended = solve(function, start, Settings(max_iterations=20_000))
    assert ended.reason in CONVERGED
    assert ended.last.iteration > 3
    assert ended.last.loss == pytest.approx(function(best)[0], rel=1e-4)


def test_one_small_decrease_is_not_the_end() -> None:
    state = DescentState(3, 1.0, "x3", "g3", (), ((1.0,),))
    down = [replace(state, loss=loss) for loss in (1 - 1e-12, 0.5, 0.5, 0.5, 0.5)]
    counts = []
    for each in down:
        state = each.after(state, 1e-9)
        counts.append(state.n_small)
    assert counts == [1, 0, 1, 2, 3]


def test_a_state_of_before_keeps_the_tolerance_that_it_had() -> None:
    document = DescentState(3, 1.0, "x3", "g3", (), ((4.0,),)).to_json()
    del document["first_norm"], document["n_small"]
    state = DescentState.from_json(document)
    assert (state.first_norm, state.n_small) == (1.0, 0)
