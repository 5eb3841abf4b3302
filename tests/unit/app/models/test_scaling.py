"""A model that was trained on scaled columns answers for the raw ones as it did for those."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.datasets.examples.statistics import statistics_of
from distbelief.app.layout.keys import PARAMETERS
from distbelief.app.layout.rows import TableRows
from distbelief.app.models.files import SavedModel, read_model
from distbelief.app.models.fm import FactorizationMachine
from distbelief.app.models.linear import LinearRegression, LogisticRegression, SoftmaxRegression
from distbelief.app.models.mlp import MLP
from distbelief.app.models.model import Task
from distbelief.app.models.scaling import Scaled, Scaling, loss_unit
from distbelief.app.models.wide_deep import WideDeep
from distbelief.app.settings.sections import ModelSettings

N_NUMBERS, N_FIELDS, BUCKETS = 3, 2, 4
WIDTH = N_NUMBERS + N_FIELDS * BUCKETS
BOUNDS = (0, 4, 8)

DENSE = [
    LinearRegression(N_NUMBERS),
    LogisticRegression(N_NUMBERS),
    SoftmaxRegression(N_NUMBERS, 4),
    MLP(N_NUMBERS, 4, (5,)),
    MLP(N_NUMBERS, 0, (5, 2), "tanh"),
    MLP(N_NUMBERS, 0, ()),
    FactorizationMachine(N_NUMBERS),
    FactorizationMachine(N_NUMBERS, 2),
]
SPARSE = [
    LinearRegression(WIDTH, sparse=True),
    SoftmaxRegression(WIDTH, 3, sparse=True),
    MLP(WIDTH, 3, (5,), sparse=True),
    MLP(WIDTH, 0, (5,), sparse=True),
    FactorizationMachine(WIDTH, sparse=True),
    FactorizationMachine(WIDTH, 2, sparse=True),
    WideDeep(N_NUMBERS, BOUNDS, 0, (5,)),
    WideDeep(N_NUMBERS, BOUNDS, 2, ()),
    WideDeep(N_NUMBERS, BOUNDS, 3, (5, 4)),
]


def scaling(rng: np.random.Generator, task: Task) -> Scaling:
    means = rng.normal(0, 100, N_NUMBERS).astype(np.float32)
    factors = np.exp(rng.normal(0, 1, N_NUMBERS)).astype(np.float32)
    ours = Scaling(tuple(means.tolist()), tuple(factors.tolist()))
    if task is not Task.REGRESSION:
        return ours
    return Scaling(ours.means, ours.factors, float(rng.normal(0, 1000)), float(rng.uniform(0, 9)))


def raw(rng: np.random.Generator, ours: Scaling, n: int, *, sparse: bool) -> Any:
    numbers = np.array(ours.means) + rng.normal(size=(n, N_NUMBERS)) / np.array(ours.factors)
    if not sparse:
        return numbers
    hashed = np.zeros((n, N_FIELDS * BUCKETS))
    for field in range(N_FIELDS):
        hashed[np.arange(n), field * BUCKETS + rng.integers(0, BUCKETS, n)] = 1
    numbers[0, 0] = 0.0
    columns = np.concatenate([np.ones((n, N_NUMBERS)), hashed], axis=1)
    features = csr_array(columns)  # a zero among the numbers is stored, as readers do
    features.data = np.concatenate([numbers, hashed], axis=1)[columns > 0]
    return features


@pytest.mark.parametrize("model", DENSE + SPARSE, ids=repr)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=20)
def test_folded_parameters_answer_as_the_scaled_ones_do(model: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ours = scaling(rng, model.task)
    features = raw(rng, ours, 6, sparse=model in SPARSE)
    parameters = rng.normal(size=sum(tensor.size for tensor in model.tensors))
    expected = Scaled(model, ours).predict(parameters, features)
    folded = model.folded(parameters, ours)
    np.testing.assert_allclose(
        model.predict(folded, features), expected, rtol=1e-6, atol=1e-6 / ours.target_factor
    )
    np.testing.assert_allclose(model.folded(folded, ours.inverse), parameters, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("model", [*DENSE[:6], *SPARSE[:4]], ids=repr)
def test_whether_examples_are_scaled_or_parameters_folded_is_the_same(model: Any) -> None:
    """In float64 a chunk with more numbers than the model has is not scaled."""
    rng = np.random.default_rng(7)
    ours, sparse = scaling(rng, model.task), model in SPARSE
    parameters = rng.normal(size=sum(tensor.size for tensor in model.tensors))
    n = 5 * parameters.size
    features = raw(rng, ours, n, sparse=sparse)
    n_classes = max(2, getattr(model, "n_classes", 2))
    regression = model.task is Task.REGRESSION
    targets = rng.normal(ours.target_mean, 3, n) if regression else rng.integers(0, n_classes, n)
    whole, parts = np.empty_like(parameters), np.zeros_like(parameters)
    loss = Scaled(model, ours).loss_and_gradient(parameters, features, targets, whole)
    losses, part = [], np.empty_like(parameters)
    for row in range(n):
        one = slice(row, row + 1)
        scaled = Scaled(model, ours)
        losses.append(scaled.loss_and_gradient(parameters, features[one], targets[one], part))
        parts += part / n
    assert loss == pytest.approx(np.mean(losses), rel=1e-8)
    np.testing.assert_allclose(whole, parts, rtol=1e-6, atol=1e-8 * np.abs(whole).max())


def test_the_loss_of_predictions_is_in_the_unit_of_the_targets() -> None:
    rng = np.random.default_rng(3)
    for model in (LinearRegression(N_NUMBERS), MLP(N_NUMBERS, 0, (5,))):
        ours = scaling(rng, model.task)
        features, targets = raw(rng, ours, 9, sparse=False), rng.normal(ours.target_mean, 50, 9)
        parameters = rng.normal(size=sum(tensor.size for tensor in model.tensors))
        found = Scaled(model, ours)
        error = found.predict(parameters, features) - targets
        assert found.loss(parameters, features, targets) == pytest.approx(np.mean(error**2) / 2)
        gradient = np.empty_like(parameters)
        loss = found.loss_and_gradient(parameters, features, targets, gradient)
        assert loss * loss_unit(found) == pytest.approx(np.mean(error**2) / 2)


def test_a_column_is_scaled_to_mean_0_and_deviation_1_and_a_constant_one_is_centred() -> None:
    found = statistics_of(np.array([[3.0, -2.0, 0.1], [7.0, -2.0, 0.1]]), 3)
    ours = Scaling.of(found, None)
    assert ours.factors == (0.5, 1.0, 1.0)
    x = np.array([[7.0, -2.0, 0.1]], np.float32)
    assert ours.features(x, np.dtype(np.float32)).tolist() == [[1.0, 0.0, 0.0]]
    assert Scaling.from_json(json.loads(json.dumps(ours.to_json()))) == ours


@pytest.mark.parametrize("model", ["linear", "mlp", "fm", "wide_deep"])
def test_a_saved_model_of_tables_answers_as_it_was_trained(model: str, tmp_path: Path) -> None:
    """For categories that training never saw, too, whose rows are as the seed draws them."""
    rng = np.random.default_rng(1)
    schema = Schema(WIDTH, 0, True, N_NUMBERS, N_FIELDS)
    plain = SavedModel(ModelSettings(model=model, hidden=(5,)), schema, np.empty(0), seed=3)
    (table, *_), ours = (
        [t for t in plain.build().tensors if t.sparse],
        scaling(rng, Task.REGRESSION),
    )
    dense = rng.normal(size=sum(t.size for t in plain.build().tensors if not t.sparse))
    touched = np.array([0, 1, 2, 4, 7])
    rows = TableRows(touched, rng.normal(size=(5, table.size // table.shape[0])))
    trained = replace(plain, parameters=dense, tables={PARAMETERS: [rows]})
    features = raw(rng, ours, 20, sparse=True)
    expected = Scaled(plain.build(), ours).predict(trained.flat(), features)
    saved = trained.folded(ours)
    saved.save(tmp_path / "model")
    for found in (saved, read_model(tmp_path / "model")):
        assert found.scaling == ours
        cut, parameters, narrow = found.source()(features)
        np.testing.assert_allclose(cut.predict(parameters, narrow), expected, rtol=1e-6, atol=1e-6)
        flat = plain.build().predict(found.flat(), features)
        np.testing.assert_allclose(flat, expected, rtol=1e-6, atol=1e-6)
    again = saved.unfolded()
    np.testing.assert_allclose(again.tables[PARAMETERS][0].values, rows.values, rtol=1e-8)
    np.testing.assert_allclose(again.parameters, dense, rtol=1e-6, atol=1e-9)
