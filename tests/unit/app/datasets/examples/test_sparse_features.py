"""Sparse features: what is cut out of them is what SciPy cuts out."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from distbelief.app.datasets.examples.sparse import SparseFeatures, relabelled


def example(seed: int, n_examples: int = 9, n_features: int = 7) -> SparseFeatures:
    rng = np.random.default_rng(seed)
    matrix = sparse.random_array((n_examples, n_features), density=0.3, format="csr", rng=rng)
    return SparseFeatures(
        matrix.indptr.astype(np.int64), matrix.indices, matrix.data.astype("f4"), n_features
    )


def whole(features: SparseFeatures) -> np.ndarray:
    parts = (features.values, features.indices, features.indptr)
    dense: np.ndarray = sparse.csr_array(parts, shape=features.shape).toarray()
    return dense


@given(seed=st.integers(0, 100), rows=st.lists(st.integers(0, 8), max_size=12))
def test_any_rows_in_any_order_are_those_of_the_matrix(seed: int, rows: list[int]) -> None:
    features = example(seed)
    cut = features[np.array(rows, dtype=np.int64)]
    assert cut.shape == (len(rows), 7)
    assert np.array_equal(cut.toarray(), whole(features)[rows])


@given(seed=st.integers(0, 100), start=st.integers(0, 9), stop=st.integers(0, 12))
def test_a_range_of_rows_is_that_of_the_matrix(seed: int, start: int, stop: int) -> None:
    features = example(seed)
    assert np.array_equal(features[start:stop].toarray(), whole(features)[start:stop])


@given(seed=st.integers(0, 100), rows=st.lists(st.integers(0, 8), max_size=5))
def test_relabelled_features_are_the_columns_that_occur(seed: int, rows: list[int]) -> None:
    cut = example(seed)[np.array(rows, dtype=np.int64)]
    columns, counts, narrow = relabelled(cut)
    assert columns.tolist() == sorted(set(cut.indices.tolist()))
    assert counts.tolist() == [cut.indices.tolist().count(column) for column in columns]
    assert np.array_equal(narrow.toarray(), cut.toarray()[:, columns])
