"""The models of one layer, trained to the optimum, against NumPy and scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.optimize import minimize
from sklearn import linear_model
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.preprocessing import scale

from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import views
from distbelief.app.models.linear import LinearRegression, LogisticRegression, SoftmaxRegression
from distbelief.app.models.model import Model

Array = npt.NDArray[Any]


def optimum(model: Model, features: Array, targets: Array, l2: float) -> tuple[Array, float]:
    """Minimise mean loss + l2 / 2 * ||penalised parameters||^2."""
    mask = Layout(model.tensors, block_numbers=1, n_shards=1, n_servers=1).penalty_mask()

    def objective(parameters: Array) -> tuple[float, Array]:
        gradient = np.empty_like(parameters)
        loss = model.loss_and_gradient(parameters, features, targets, gradient)
        penalised = parameters * mask
        return loss + l2 / 2 * (penalised @ penalised), gradient + l2 * penalised

    start = model.initial(np.random.default_rng(0))
    options = {"maxiter": 10_000, "maxfun": 20_000, "ftol": 0, "gtol": 1e-9}
    result = minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
    return result.x, result.fun


def sklearn_logistic(features: Array, labels: Array, l2: float) -> Any:
    """scikit-learn minimises C * sum of losses + 1/2 ||w||^2: C = 1 / (n * l2)."""
    solver = linear_model.LogisticRegression(C=1 / (len(labels) * l2), tol=1e-9, max_iter=10_000)
    return solver.fit(features, labels)


def test_linear_regression_finds_the_least_squares_solution() -> None:
    features, targets = load_diabetes(return_X_y=True)
    features, targets = scale(features), scale(targets) + 3
    found, objective = optimum(LinearRegression(10), features, targets, l2=0)
    with_bias = np.column_stack([features, np.ones(len(features))])
    expected, sum_of_squares, *_ = np.linalg.lstsq(with_bias, targets)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert objective == pytest.approx(sum_of_squares.item() / len(targets) / 2, rel=1e-9)


def test_logistic_regression_finds_the_optimum_of_scikit_learn() -> None:
    features, labels = load_breast_cancer(return_X_y=True)
    features = scale(features)
    model = LogisticRegression(features.shape[1])
    found, _ = optimum(model, features, labels, l2=0.01)
    weights, bias = views(found, model.tensors)
    theirs = sklearn_logistic(features, labels, l2=0.01)
    np.testing.assert_allclose(weights[:, 0], theirs.coef_[0], atol=1e-5)
    np.testing.assert_allclose(bias, theirs.intercept_, atol=1e-5)
    probabilities = theirs.predict_proba(features)[:, 1]
    np.testing.assert_allclose(model.predict(found, features), probabilities, atol=1e-5)


def test_softmax_regression_finds_the_optimum_of_scikit_learn() -> None:
    features, labels = load_iris(return_X_y=True)
    features = scale(features)
    model = SoftmaxRegression(4, 3)
    found, _ = optimum(model, features, labels, l2=0.01)
    weights, bias = views(found, model.tensors)
    theirs = sklearn_logistic(features, labels, l2=0.01)
    np.testing.assert_allclose(weights, theirs.coef_.T, atol=1e-5)
    np.testing.assert_allclose(bias - bias.mean(), theirs.intercept_, atol=1e-5)
    probabilities = theirs.predict_proba(features)
    np.testing.assert_allclose(model.predict(found, features), probabilities, atol=1e-5)


def test_softmax_of_two_classes_is_logistic_regression() -> None:
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(20, 3)), rng.integers(0, 2, 20)
    log_odds = rng.normal(size=4)
    of_class_1 = np.column_stack([np.zeros(4), log_odds]).ravel()
    softmax, logistic = SoftmaxRegression(3, 2), LogisticRegression(3)
    gradient, twin = np.empty(8), np.empty(4)
    loss = softmax.loss_and_gradient(of_class_1, features, labels, gradient)
    assert loss == pytest.approx(logistic.loss_and_gradient(log_odds, features, labels, twin))
    np.testing.assert_allclose(gradient.reshape(4, 2)[:, 1], twin)


@pytest.mark.parametrize(
    "model", [LinearRegression(3), LogisticRegression(3), SoftmaxRegression(3, 4)], ids=repr
)
def test_linear_models_begin_at_zero(model: Model) -> None:
    assert not model.initial(np.random.default_rng(0)).any()
