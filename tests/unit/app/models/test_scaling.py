"""A model that was trained on scaled columns answers for the raw ones as it did for those."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from distbelief.app.models.fm import FactorizationMachine
from distbelief.app.models.linear import LinearRegression, LogisticRegression, SoftmaxRegression
from distbelief.app.models.mlp import MLP
from distbelief.app.models.model import Task
from distbelief.app.models.scaling import Scaled, Scaling
from distbelief.app.models.wide_deep import WideDeep

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
