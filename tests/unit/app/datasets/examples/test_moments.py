"""Means and deviations are NumPy's, and the same bits however the examples are stored."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.preprocessing import StandardScaler

from distbelief.app.datasets.examples import moments
from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.examples.moments import column_moments, target_moments
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.datasets.examples.sparse import SparseFeatures


def dataset(features: Any, targets: Any = None, **schema: Any) -> Dataset:
    targets = np.zeros(len(features), np.float32) if targets is None else targets
    return Dataset(features, targets, Schema(features.shape[1], **schema), "data", "0")


def columns(n: int) -> Any:
    rng = np.random.default_rng(0)
    scales = np.array([1e-3, 1, 1e4, 0, 1])
    origins = np.array([0, 1e4, -5, 0.1, 1e7])
    return (rng.normal(size=(n, 5)) * scales + origins).astype(np.float32)


def test_moments_are_those_of_numpy_over_many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments, "BLOCK_EXAMPLES", 64)
    x = columns(1000)
    found, wide = column_moments(dataset(x), 5), x.astype(np.float64)
    np.testing.assert_allclose(found.mean, wide.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.deviation[[0, 1, 2, 4]], wide.std(axis=0)[[0, 1, 2, 4]])


def test_a_constant_column_has_exactly_no_deviation() -> None:
    found = column_moments(dataset(columns(5000)), 5)
    assert found.deviation[3] == 0
    assert found.mean[3] == np.float32(0.1)


def test_weighted_moments_are_those_of_scikit_learn_and_of_repeated_examples() -> None:
    x, times = columns(5000), np.random.default_rng(1).integers(0, 4, 5000)
    times[0] = 0
    x[times == 0, 3] = 7  # constant where it counts
    data = replace(dataset(x), weights=times.astype(np.float32) / 3)
    found, wide = column_moments(data, 5), x.astype(np.float64)
    theirs = StandardScaler().fit(wide, sample_weight=times)
    np.testing.assert_allclose(found.mean, theirs.mean_, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found.deviation[:3], np.sqrt(theirs.var_[:3]), rtol=1e-6)
    repeated = column_moments(dataset(x.repeat(times, axis=0)), 5)
    np.testing.assert_allclose(found.deviation, repeated.deviation, rtol=1e-9)
    assert found.deviation[3] == 0


def test_leading_numbers_of_sparse_examples_count_with_their_zeros() -> None:
    x = columns(300)
    x[::3, 0] = 0
    matrix = csr_array(np.ones((300, 6)))
    matrix.data = np.concatenate([x, np.ones((300, 1))], axis=1).ravel().astype(np.float32)
    indptr = matrix.indptr.astype(np.int64)
    sparse = SparseFeatures(indptr, matrix.indices, matrix.data.astype(np.float32), 6)
    there = column_moments(dataset(sparse, np.zeros(300), sparse=True, n_dense=5), 5)
    here = column_moments(dataset(x), 5)
    assert there.mean.tolist() == here.mean.tolist()
    assert there.deviation.tolist() == here.deviation.tolist()


def test_targets_have_moments_as_a_column_has() -> None:
    y = columns(500)[:, 2]
    found = target_moments(dataset(columns(500), y))
    assert found.mean == pytest.approx(y.mean(dtype=np.float64))
    assert found.deviation == pytest.approx(y.std(dtype=np.float64))
