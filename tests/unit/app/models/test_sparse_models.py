"""Models on sparse features: what they answer is what they answer on dense ones."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from distbelief.app.datasets.examples.sparse import SparseFeatures
from distbelief.app.layout.tensors import TensorSpec, views
from distbelief.app.models.fm import FactorizationMachine
from distbelief.app.models.initial import initial_values
from distbelief.app.models.linear import LinearRegression, LogisticRegression, SoftmaxRegression
from distbelief.app.models.mlp import MLP
from distbelief.app.models.model import SparseModel, Task
from distbelief.app.models.wide_deep import WideDeep

Array = npt.NDArray[Any]

N_DENSE, FIELDS, BUCKETS = 2, 3, 4
N_FEATURES = N_DENSE + FIELDS * BUCKETS
BOUNDS = (0, 4, 8, 12)


def every(n_features: int = N_FEATURES, *, sparse: bool = True) -> list[SparseModel]:
    return [
        LinearRegression(n_features, sparse=sparse),
        LogisticRegression(n_features, sparse=sparse),
        SoftmaxRegression(n_features, 3, sparse=sparse),
        MLP(n_features, 3, (4, 3), "tanh", sparse=sparse),
        FactorizationMachine(n_features, 0, rank=3, sparse=sparse),
        FactorizationMachine(n_features, 2, rank=3, sparse=sparse),
        WideDeep(N_DENSE, BOUNDS, 0, (5,), "tanh", embedding=2, sparse=sparse),
        WideDeep(N_DENSE, BOUNDS, 2, (), embedding=2, sparse=sparse),
        WideDeep(N_DENSE, BOUNDS, 3, (5, 4), "tanh", embedding=2, sparse=sparse),
    ]


every_model = pytest.mark.parametrize("model", every(), ids=repr)
both_precisions = pytest.mark.parametrize("dtype", ["f4", "f8"])


def size(model: SparseModel) -> int:
    return sum(tensor.size for tensor in model.tensors)


def random_parameters(model: SparseModel) -> Array:
    return np.random.default_rng(2).normal(size=size(model))


def targets_for(model: SparseModel, n: int) -> Array:
    rng = np.random.default_rng(3)
    if model.task is Task.REGRESSION:
        return rng.normal(size=n)
    return rng.integers(0, 2 if model.task is Task.BINARY else 3, n)


def some(seed: int, n: int = 6, density: float = 0.3) -> Array:
    """Features of which most are zero; the first example has none at all."""
    rng = np.random.default_rng(seed)
    dense = rng.normal(size=(n, N_FEATURES)) * (rng.random((n, N_FEATURES)) < density)
    dense[0] = 0
    return dense


def evaluate(
    model: SparseModel, parameters: Array, features: Any, targets: Array
) -> tuple[float, Array]:
    gradient = np.full_like(parameters, np.nan)
    return model.loss_and_gradient(parameters, features, targets, gradient), gradient


def cut(tensors: Sequence[TensorSpec], vector: Array, rows: Sequence[Array]) -> Array:
    """The numbers of a narrowed model among those of the whole."""
    touched = iter(rows)
    parts = zip(tensors, views(vector, tensors), strict=True)
    return np.concatenate([(t[next(touched)] if s.sparse else t).ravel() for s, t in parts])


@every_model
def test_the_gradient_is_that_of_central_differences(model: SparseModel) -> None:
    features, targets = csr_array(some(0)), targets_for(model, 6)
    parameters, step = random_parameters(model), 1e-6
    _, gradient = evaluate(model, parameters, features, targets)
    for i, expected in enumerate(gradient):
        move = step * np.eye(parameters.size)[i]
        above, _ = evaluate(model, parameters + move, features, targets)
        below, _ = evaluate(model, parameters - move, features, targets)
        assert (above - below) / (2 * step) == pytest.approx(expected, rel=1e-6, abs=1e-8)


@both_precisions
@pytest.mark.parametrize(
    ("model", "dense"), list(zip(every(), every(sparse=False), strict=True)), ids=repr
)
def test_sparse_features_give_what_the_same_dense_ones_give(
    model: SparseModel, dense: SparseModel, dtype: str
) -> None:
    features, targets = some(1), targets_for(model, 6)
    parameters = random_parameters(model).astype(dtype)
    loss, gradient = evaluate(model, parameters, csr_array(features), targets)
    expected_loss, expected = evaluate(dense, parameters, features, targets)
    tolerance = 100 * float(np.finfo(dtype).eps)
    assert loss == pytest.approx(expected_loss, rel=tolerance)
    np.testing.assert_allclose(gradient, expected, rtol=tolerance, atol=tolerance)
    answers = model.predict(parameters, csr_array(features))
    assert answers.dtype == dtype
    np.testing.assert_allclose(
        answers, dense.predict(parameters, features), rtol=tolerance, atol=tolerance
    )


@both_precisions
@every_model
@given(seed=st.integers(0, 1000), density=st.sampled_from([0.0, 0.1, 0.5]))
def test_a_narrowed_model_answers_as_the_whole_one(
    model: SparseModel, dtype: str, seed: int, density: float
) -> None:
    features, targets = csr_array(some(seed, density=density)), targets_for(model, 6)
    parameters = random_parameters(model).astype(dtype)
    loss, gradient = evaluate(model, parameters, features, targets)
    narrowed = model.narrowed(features)
    ours = cut(model.tensors, parameters, narrowed.rows)
    assert ours.size == sum(tensor.size for tensor in narrowed.model.tensors)
    found = np.full_like(ours, np.nan)
    tolerance = 10 * float(np.finfo(dtype).eps)
    assert narrowed.model.loss_and_gradient(
        ours, narrowed.features, targets, found
    ) == pytest.approx(loss, rel=tolerance)
    expected = cut(model.tensors, gradient, narrowed.rows)
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
    assert np.count_nonzero(gradient) == np.count_nonzero(expected)  # none is left out
    np.testing.assert_allclose(
        narrowed.model.predict(ours, narrowed.features),
        model.predict(parameters, features),
        rtol=tolerance,
    )


@every_model
@given(seed=st.integers(0, 1000))
def test_rows_are_counted_by_the_examples_that_touch_them(model: SparseModel, seed: int) -> None:
    features = some(seed)
    narrowed = model.narrowed(csr_array(features))
    own = features[:, N_DENSE:] if isinstance(model, WideDeep) else features
    counts = np.count_nonzero(own, axis=0)
    assert narrowed.rows[0].dtype == np.int64
    assert narrowed.rows[0].tolist() == np.flatnonzero(counts).tolist()
    assert narrowed.counts[0].tolist() == counts[counts > 0].tolist()


@every_model
def test_entries_of_one_column_count_as_their_sum(model: SparseModel) -> None:
    twice = csr_array(
        (np.array([1.0, 0.5, 2.0, -1.0]), np.array([5, 5, 3, 9]), np.array([0, 3, 4])),
        shape=(2, N_FEATURES),
    )
    parameters, targets = random_parameters(model), targets_for(model, 2)
    loss, gradient = evaluate(model, parameters, twice, targets)
    expected_loss, expected = evaluate(model, parameters, csr_array(twice.toarray()), targets)
    assert twice.nnz == 4  # the caller's features are as they were
    assert loss == pytest.approx(expected_loss)
    np.testing.assert_allclose(gradient, expected, atol=1e-14)


@every_model
def test_a_stored_zero_is_no_different_from_none(model: SparseModel) -> None:
    features = csr_array(some(2))
    targets, parameters = targets_for(model, 6), random_parameters(model)
    loss, gradient = evaluate(model, parameters, features, targets)
    stored = csr_array(np.ones_like(some(2)))
    stored.data[:] = some(2).ravel()
    assert stored.nnz == 6 * N_FEATURES
    stored_loss, stored_gradient = evaluate(model, parameters, stored, targets)
    assert stored_loss == pytest.approx(loss)
    np.testing.assert_allclose(stored_gradient, gradient, atol=1e-14)


@every_model
def test_only_the_tensors_with_a_row_for_each_feature_are_sparse(model: SparseModel) -> None:
    (sparse,) = [tensor for tensor in model.tensors if tensor.sparse]
    assert sparse.shape[0] in (N_FEATURES, N_FEATURES - N_DENSE)
    assert sparse.spread is not None


@every_model
def test_first_values_fit_the_tensors(model: SparseModel) -> None:
    first = initial_values(model.tensors, model, "it", 4)
    assert first.shape == (size(model),)
    assert first.tobytes() == initial_values(model.tensors, model, "it", 4).tobytes()


#: Many features, each example with few: nothing may be made that has one of each.
LARGE, ENTRIES, BATCH = 2**20, 40, 32
WIDTH = LARGE // ENTRIES
LARGE_MODELS: list[SparseModel] = [
    LogisticRegression(LARGE, sparse=True),
    SoftmaxRegression(LARGE, 5, sparse=True),
    MLP(LARGE, 2, (16,), sparse=True),
    FactorizationMachine(LARGE, 2, sparse=True),
    WideDeep(0, (*range(0, LARGE - WIDTH, WIDTH), LARGE), 2, (16,)),
]


def large(n_examples: int) -> SparseFeatures:
    """Examples with one entry in each of ``ENTRIES`` ranges of columns."""
    rng = np.random.default_rng(0)
    columns = rng.integers(0, WIDTH, (n_examples, ENTRIES)) + WIDTH * np.arange(ENTRIES)
    indptr = np.arange(0, n_examples * ENTRIES + 1, ENTRIES)
    return SparseFeatures(
        indptr, columns.ravel().astype(np.int32), np.ones(columns.size, "f4"), LARGE
    )


@pytest.mark.parametrize("model", LARGE_MODELS, ids=lambda model: type(model).__name__)
def test_a_minibatch_makes_nothing_as_large_as_the_number_of_features(model: SparseModel) -> None:
    data, targets = large(3 * BATCH), np.zeros(BATCH, np.int64)
    tracemalloc.start()
    for start in range(0, 3 * BATCH, BATCH):
        narrowed = model.narrowed(data[start : start + BATCH])
        parameters = np.zeros(sum(t.size for t in narrowed.model.tensors), "f4")
        gradient = np.empty_like(parameters)
        narrowed.model.loss_and_gradient(parameters, narrowed.features, targets, gradient)
        narrowed.model.predict(parameters, narrowed.features)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < LARGE  # less than a byte for each feature
