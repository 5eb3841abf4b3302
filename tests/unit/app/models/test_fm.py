"""Factorization machines against the sum over all pairs, and what they are for."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.sparse import csr_array

from distbelief.app.layout.tensors import views
from distbelief.app.models.fm import FactorizationMachine
from distbelief.app.models.initial import initial_values
from distbelief.app.models.linear import LogisticRegression
from distbelief.app.models.model import SparseModel, Task

Array = npt.NDArray[Any]


def output(parameters: Array, model: FactorizationMachine, x: list[float]) -> float:
    """Rendle's eq. 1, pair by pair."""
    table, (bias,) = (tensor.tolist() for tensor in views(parameters, model.tensors))
    total = bias + sum(row[0] * value for row, value in zip(table, x, strict=True))
    for i, j in itertools.combinations(range(len(x)), 2):
        weight = sum(a * b for a, b in zip(table[i][1:], table[j][1:], strict=True))
        total += weight * x[i] * x[j]
    return float(total)


def output_gradient(parameters: Array, model: FactorizationMachine, x: list[float]) -> Array:
    """The derivatives of that sum, pair by pair; the last is the bias's."""
    table, _ = views(parameters, model.tensors)
    result = np.zeros((len(x), 1 + model.rank))
    result[:, 0] = x
    for i, j in itertools.permutations(range(len(x)), 2):
        for f in range(1, 1 + model.rank):
            result[i, f] += table[j, f] * x[i] * x[j]
    return np.append(result.ravel(), 1.0)


def problem(n_classes: int) -> tuple[FactorizationMachine, Array, Array, Array]:
    rng = np.random.default_rng(0)
    model = FactorizationMachine(5, n_classes, rank=3)
    targets = rng.integers(0, 2, 6) if n_classes else rng.normal(size=6)
    return model, rng.normal(size=5 * 4 + 1), rng.normal(size=(6, 5)), targets


@pytest.mark.parametrize("layout", [np.asarray, csr_array])
def test_a_regression_is_the_sum_over_all_pairs(layout: Any) -> None:
    model, parameters, features, targets = problem(0)
    outputs = [output(parameters, model, x) for x in features.tolist()]
    np.testing.assert_allclose(model.predict(parameters, layout(features)), outputs)
    slopes = [output_gradient(parameters, model, x) for x in features.tolist()]
    gradient = np.empty_like(parameters)
    loss = model.loss_and_gradient(parameters, layout(features), targets, gradient)
    errors = np.array(outputs) - targets
    assert loss == pytest.approx(np.mean(errors**2) / 2)
    np.testing.assert_allclose(gradient, np.mean(errors[:, None] * slopes, axis=0), atol=1e-12)


@pytest.mark.parametrize("layout", [np.asarray, csr_array])
def test_two_classes_are_told_apart_by_the_sum_over_all_pairs(layout: Any) -> None:
    model, parameters, features, labels = problem(2)
    outputs = [output(parameters, model, x) for x in features.tolist()]
    probabilities = np.array([1 / (1 + math.exp(-z)) for z in outputs])
    np.testing.assert_allclose(model.predict(parameters, layout(features)), probabilities)
    slopes = [output_gradient(parameters, model, x) for x in features.tolist()]
    gradient = np.empty_like(parameters)
    loss = model.loss_and_gradient(parameters, layout(features), labels, gradient)
    of_label = np.where(labels == 1, probabilities, 1 - probabilities)
    assert loss == pytest.approx(-np.mean(np.log(of_label)))
    errors = probabilities - labels
    np.testing.assert_allclose(gradient, np.mean(errors[:, None] * slopes, axis=0), atol=1e-12)


def test_without_factors_it_is_logistic_regression() -> None:
    model, parameters, features, _ = problem(2)
    table, _ = views(parameters, model.tensors)
    table[:, 1:] = 0
    linear = np.append(table[:, 0], parameters[-1])
    probabilities = LogisticRegression(5).predict(linear, features)
    np.testing.assert_allclose(model.predict(parameters, features), probabilities)


@pytest.mark.parametrize(("n_classes", "task"), [(0, Task.REGRESSION), (2, Task.BINARY)])
def test_the_task_is_that_of_the_targets(n_classes: int, task: Task) -> None:
    assert FactorizationMachine(5, n_classes).task is task


def test_factors_begin_small_and_different_and_the_bias_at_zero() -> None:
    model = FactorizationMachine(1000, 2, spread=0.02)
    table, bias = views(initial_values(model.tensors, model, "fm", 0), model.tensors)
    assert bias.tolist() == [0]
    assert np.abs(table).max() == pytest.approx(0.02, rel=1e-2)
    assert table.std() == pytest.approx(0.02 / math.sqrt(3), rel=0.02)


def pairs_that_matter(n: int) -> tuple[csr_array, Array]:
    """Two categories of 12 each: class 1 is likely where their hidden signs agree.

    The signs are balanced, so no category says anything by itself.
    """
    rng = np.random.default_rng(5)
    signs = np.tile([1, -1], 12)
    first, second = rng.integers(0, 12, n), rng.integers(12, 24, n)
    likely = signs[first] == signs[second]
    labels = np.where(rng.random(n) < 0.9, likely, ~likely).astype(np.int64)
    columns = np.column_stack([first, second]).ravel()
    features = csr_array((np.ones(2 * n), columns, np.arange(0, 2 * n + 1, 2)), shape=(n, 24))
    return features, labels


def trained(model: SparseModel, features: csr_array, labels: Array, passes: int = 8) -> Array:
    """Adagrad over minibatches of 32 in a plain loop."""
    parameters = initial_values(model.tensors, model, "it", 0)
    gradient, sums = np.empty_like(parameters), np.full_like(parameters, 1e-6)
    order = np.random.default_rng(0)
    for _ in range(passes):
        for rows in np.array_split(order.permutation(len(labels)), len(labels) // 32):
            model.loss_and_gradient(parameters, features[rows], labels[rows], gradient)
            sums += gradient**2
            parameters -= 0.05 * gradient / np.sqrt(sums)
    return parameters


def heldout_loss(model: SparseModel) -> float:
    features, labels = pairs_that_matter(3000)
    parameters = trained(model, features[:2000], labels[:2000])
    scratch = np.empty_like(parameters)
    return model.loss_and_gradient(parameters, features[2000:], labels[2000:], scratch)


def test_it_learns_from_pairs_where_logistic_regression_learns_nothing() -> None:
    linear = heldout_loss(LogisticRegression(24, sparse=True))
    machine = heldout_loss(FactorizationMachine(24, 2, rank=4, sparse=True))
    assert linear > 0.68  # no better than guessing, log 2
    assert machine < 0.36  # labels are noisy: 0.325 is the best there is
