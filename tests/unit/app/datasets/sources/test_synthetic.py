"""The problems with a known optimum, against SciPy, scikit-learn and statistics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from scipy.special import softmax as scipy_softmax
from sklearn.linear_model import LinearRegression, LogisticRegression

from distbelief.app.datasets.sources import synthetic
from distbelief.app.datasets.sources.synthetic import SyntheticProblem

Array = npt.NDArray[Any]
Make = Callable[..., SyntheticProblem]

MAKERS = [synthetic.linear, synthetic.logistic, synthetic.softmax]


def outputs(problem: SyntheticProblem) -> Array:
    return problem.features.astype(np.float64) @ problem.weights + problem.bias


def log_loss_gradient(problem: SyntheticProblem) -> tuple[Array, Array]:
    """Mean gradient by the weights at the truth, and its standard errors.

    Shape (n_features, n_outputs) each.
    """
    if problem.weights.shape[1] == 1:
        errors = expit(outputs(problem)) - problem.targets[:, None]
    else:
        errors = scipy_softmax(outputs(problem), axis=1)
        errors[np.arange(len(errors)), problem.targets] -= 1
    each = problem.features[:, :, None] * errors[:, None, :]
    return each.mean(axis=0), each.std(axis=0) / np.sqrt(len(each))


@given(features=st.integers(1, 300), seed=st.integers(0, 2**40))
@settings(max_examples=30)
def test_linear_without_noise_has_no_loss_at_the_truth_even_in_float32(
    features: int, seed: int
) -> None:
    problem = synthetic.linear(examples=50, features=features, seed=seed)
    weights, bias = problem.weights.astype(np.float32), problem.bias.astype(np.float32)
    residuals = (problem.features @ weights + bias)[:, 0] - problem.targets
    assert np.all(residuals == 0)


def test_linear_with_noise_leaves_its_variance_as_the_loss_at_the_truth() -> None:
    problem = synthetic.linear(examples=20_000, noise=0.5)
    squared_error = np.mean((outputs(problem)[:, 0] - problem.targets) ** 2)
    assert squared_error == pytest.approx(0.25, rel=5 * np.sqrt(2 / 20_000))


def test_least_squares_finds_the_linear_truth_despite_noise() -> None:
    problem = synthetic.linear(examples=20_000, noise=0.5)
    fitted = LinearRegression().fit(problem.features, problem.targets)
    standard_error = 0.5 / np.sqrt(20_000)
    assert np.abs(fitted.coef_ - problem.weights[:, 0]).max() < 5 * standard_error
    assert abs(fitted.intercept_ - problem.bias[0]) < 5 * standard_error


@pytest.mark.parametrize("make", [synthetic.logistic, synthetic.softmax])
@pytest.mark.parametrize("examples", [1_000, 30_000])
def test_the_log_loss_gradient_at_the_truth_is_sampling_error(make: Make, examples: int) -> None:
    gradient, standard_error = log_loss_gradient(make(examples=examples))
    assert np.all(np.abs(gradient) < 5 * standard_error)
    assert standard_error.max() < 1 / np.sqrt(examples)


def test_logistic_regression_finds_the_truth() -> None:
    problem = synthetic.logistic(examples=50_000)
    fitted = LogisticRegression(C=np.inf, tol=1e-8).fit(problem.features, problem.targets)
    assert np.abs(fitted.coef_[0] - problem.weights[:, 0]).max() < 10 / np.sqrt(50_000)
    assert abs(fitted.intercept_[0] - problem.bias[0]) < 10 / np.sqrt(50_000)


def test_softmax_regression_finds_the_truth() -> None:
    problem = synthetic.softmax(examples=50_000, features=10, classes=4)
    fitted = LogisticRegression(C=np.inf, tol=1e-8).fit(problem.features, problem.targets)
    assert np.abs(fitted.coef_.T - problem.weights).max() < 10 / np.sqrt(50_000)
    assert np.abs(fitted.intercept_ - problem.bias).max() < 10 / np.sqrt(50_000)


def test_softmax_parameters_sum_to_zero_over_the_classes() -> None:
    problem = synthetic.softmax()
    assert np.abs(problem.weights.sum(axis=1)).max() < 1e-12
    assert abs(problem.bias.sum()) < 1e-12


@pytest.mark.parametrize("make", MAKERS)
def test_features_are_standard_normal(make: Make) -> None:
    features = make(examples=20_000, features=5).features
    assert np.abs(features.mean(axis=0)).max() < 5 / np.sqrt(20_000)
    assert np.abs(features.std(axis=0) - 1).max() < 0.03


@pytest.mark.parametrize("make", MAKERS)
def test_the_same_seed_gives_the_same_problem(make: Make) -> None:
    one, other = make(seed=7), make(seed=7)
    assert np.array_equal(one.features, other.features)
    assert np.array_equal(one.targets, other.targets)


@pytest.mark.parametrize("make", MAKERS)
def test_another_seed_gives_another_problem(make: Make) -> None:
    one, other = make(seed=7), make(seed=8)
    assert not np.array_equal(one.weights, other.weights)
    assert not np.array_equal(one.features, other.features)


@pytest.mark.parametrize("make", MAKERS)
def test_a_larger_problem_begins_with_the_smaller_one(make: Make) -> None:
    small, large = make(examples=100), make(examples=250)
    assert np.array_equal(small.weights, large.weights)
    assert np.array_equal(small.features, large.features[:100])
    assert np.array_equal(small.targets, large.targets[:100])


@pytest.mark.parametrize(
    ("make", "n_classes", "dtype"),
    [
        (synthetic.linear, 0, np.float32),
        (synthetic.logistic, 2, np.int64),
        (synthetic.softmax, 5, np.int64),
    ],
)
def test_targets_are_values_or_labels(make: Make, n_classes: int, dtype: Any) -> None:
    problem = make(examples=10, features=3)
    assert problem.n_classes == n_classes
    assert problem.targets.dtype == dtype
    assert problem.targets.shape == (10,)
    assert problem.features.dtype == np.float32
    assert problem.features.shape == (10, 3)
