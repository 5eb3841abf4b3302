"""Weights of examples are equal to repeating these, in losses, gradients and figures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from sklearn import metrics

from distbelief.app.datasets.examples.weights import (
    ScaledWeights,
    as_weights,
    class_factors,
    mean_weight,
)
from distbelief.app.errors import DataError
from distbelief.app.models.auc import Ranks
from distbelief.app.models.fm import FactorizationMachine
from distbelief.app.models.linear import LinearRegression, LogisticRegression, SoftmaxRegression
from distbelief.app.models.metrics import score
from distbelief.app.models.mlp import MLP
from distbelief.app.models.model import takes_weights
from distbelief.app.models.parameters import whole
from distbelief.app.models.scaling import Scaled, Scaling

N, FEATURES = 60, 4
TIMES = np.random.default_rng(1).integers(0, 4, N)
X = np.random.default_rng(2).normal(size=(N, FEATURES))
LABELS = np.arange(N) % 3
VALUES = X @ np.arange(4) + 5
#: Of mean 1: as many times as each row is there.
WEIGHTS = (TIMES / TIMES.mean()).astype(np.float32)

MODELS: dict[str, tuple[Any, Any]] = {
    "linear": (LinearRegression(FEATURES), VALUES),
    "logistic": (LogisticRegression(FEATURES), LABELS % 2),
    "softmax": (SoftmaxRegression(FEATURES, 3), LABELS),
    "mlp": (MLP(FEATURES, 3, (5,)), LABELS),
    "network of values": (MLP(FEATURES, 0, (5,)), VALUES),
    "fm": (FactorizationMachine(FEATURES, 2), LABELS % 2),
    "scaled": (
        Scaled(LinearRegression(FEATURES), Scaling((1.0,) * 4, (2.0,) * 4, 3.0, 0.5)),
        VALUES,
    ),
}


def parameters_of(model: Any) -> Any:
    size = sum(tensor.size for tensor in model.tensors)
    return np.random.default_rng(3).normal(size=size)


@pytest.mark.parametrize("name", MODELS)
def test_loss_and_gradient_are_those_of_repeated_examples(name: str) -> None:
    model, targets = MODELS[name]
    parameters = parameters_of(model)
    ours, theirs = np.empty_like(parameters), np.empty_like(parameters)
    loss = model.loss_and_gradient(parameters, X, targets, ours, weights=WEIGHTS)
    repeated = X.repeat(TIMES, axis=0), targets.repeat(TIMES)
    assert loss == pytest.approx(model.loss_and_gradient(parameters, *repeated, theirs), rel=1e-6)
    assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-6)
    assert takes_weights(getattr(model, "model", model))


@given(
    name=st.sampled_from(["linear", "logistic", "softmax", "mlp", "fm"]),
    times=st.lists(st.integers(0, 5), min_size=N, max_size=N),
)
@settings(max_examples=30, deadline=None)
def test_sparse_examples_with_any_weights_are_repeated_ones(name: str, times: list[int]) -> None:
    assume(any(times))
    model, targets = MODELS[name]
    parameters, x = parameters_of(model), csr_array(np.where(X > 0, X, 0))
    weights = np.array(times, np.float32) * N / sum(times)
    rows = np.repeat(np.arange(N), times)
    ours, theirs = np.empty_like(parameters), np.empty_like(parameters)
    loss = model.loss_and_gradient(parameters, x, targets, ours, weights=weights)
    expected = model.loss_and_gradient(parameters, x[rows], targets[rows], theirs)
    assert loss == pytest.approx(expected, rel=1e-5)
    assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_figures_are_those_of_repeated_examples(name: str) -> None:
    model, targets = MODELS[name]
    source = whole(model, parameters_of(model))
    ours = score(source, X, targets, 7, weights=WEIGHTS)
    theirs = score(source, X.repeat(TIMES, axis=0), targets.repeat(TIMES), 7)
    for figure in ("loss", "accuracy", "log_loss", "rmse", "r2", "baseline"):
        assert getattr(ours, figure) == pytest.approx(
            getattr(theirs, figure), rel=1e-5, nan_ok=True
        ), figure
    assert np.array(ours.confusion) * TIMES.mean() == pytest.approx(
        np.array(theirs.confusion), abs=1e-4
    )


@pytest.mark.parametrize("histogram", [False, True])
def test_all_figures_of_two_classes_are_those_of_scikit_learn(histogram: bool) -> None:
    model, labels = MODELS["logistic"]
    source, ranks = whole(model, parameters_of(model)), Ranks()
    found = score(source, X, labels, 7, weights=WEIGHTS, histogram=histogram, seen=ranks.add)
    chances = model.predict(parameters_of(model), X)
    answers, of = (chances > 0.5).astype(int), {"sample_weight": WEIGHTS}
    auc = found.with_histogram_auc().auc if histogram else ranks.auc()
    assert auc == pytest.approx(
        metrics.roc_auc_score(labels, chances, **of), abs=1e-2 if histogram else 1e-12
    )
    for figure, theirs in {
        "accuracy": metrics.accuracy_score(labels, answers, **of),
        "precision": metrics.precision_score(labels, answers, **of),
        "recall": metrics.recall_score(labels, answers, **of),
        "log_loss": metrics.log_loss(labels, chances, **of),
        "baseline": max(np.bincount(labels, WEIGHTS)) / WEIGHTS.sum(),
    }.items():
        assert getattr(found, figure) == pytest.approx(theirs, rel=1e-6), figure
    expected = metrics.confusion_matrix(labels, answers, **of)
    assert np.array(found.confusion)[:, :2] == pytest.approx(expected, rel=1e-6)


def test_all_figures_of_a_regression_are_those_of_scikit_learn() -> None:
    model, targets = MODELS["linear"]
    found = score(whole(model, parameters_of(model)), X, targets, 7, weights=WEIGHTS)
    values = model.predict(parameters_of(model), X)
    of = {"sample_weight": WEIGHTS}
    always = np.full(N, np.average(targets, weights=WEIGHTS))
    for figure, theirs in {
        "r2": metrics.r2_score(targets, values, **of),
        "rmse": metrics.root_mean_squared_error(targets, values, **of),
        "baseline": metrics.root_mean_squared_error(targets, always, **of),
    }.items():
        assert getattr(found, figure) == pytest.approx(theirs, rel=1e-6), figure


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, -1.0, 1.0], "the weight of example 1 is -1"),
        ([1.0, np.nan, 1.0], "the weight of example 1 is nan"),
        ([0, 0, 0], "all weights of examples are 0"),
        ([1, 1], "a weight for each of 3 examples"),
        (["a", "b", "c"], "must be numbers"),
    ],
)
def test_weights_that_are_none_are_refused(weights: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        as_weights(weights, 3, "the arrays")


def test_weights_that_leave_nothing_to_train_on_are_refused() -> None:
    with pytest.raises(DataError, match="of all training examples are 0"):
        mean_weight(ScaledWeights(None, np.array([0.0, 1.0])), [np.array([0])])


def test_classes_are_balanced_or_weighted_by_name() -> None:
    sums, names = np.array([30.0, 10.0]), ("no", "yes")
    assert class_factors("balanced", names, sums, "data") == pytest.approx([40 / 60, 2.0])
    assert class_factors("yes=3", names, sums, "data").tolist() == [1.0, 3.0]
    with pytest.raises(DataError, match='names "maybe", the classes are no, yes'):
        class_factors("maybe=3", names, sums, "data")
    with pytest.raises(DataError, match="must be balanced, or CLASS=WEIGHT"):
        class_factors("yes", names, sums, "data")
