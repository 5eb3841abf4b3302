"""Arrays that a program hands over: a data set like one from a file, and gone afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import coo_matrix, csr_array, csr_matrix

from distbelief.app.datasets.cache.opening import open_cached
from distbelief.app.datasets.examples.compatibility import Compatibility
from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.formats import arrays
from distbelief.app.datasets.targets.wanted import Wanted
from distbelief.app.errors import DataError

X = np.array([[0.5, 0.0, 1.0], [0.0, 2.0, 0.0], [3.0, 0.0, 0.25], [0.0, 0.0, 0.0]])


def handed(tmp_path: Path, features: Any, targets: Any, **wanted: Any) -> Dataset:
    """The data set as workers open it."""
    source = arrays.hand_over(features, targets, tmp_path / "data", Wanted(**wanted))
    return open_cached(source, {}, tmp_path / "cache")


def test_dense_features_and_whole_numbers_are_classes(tmp_path: Path) -> None:
    data = handed(tmp_path, X, [3, 1, 3, 1])
    assert np.array_equal(data.features[:], X)
    assert data.features[:].dtype == np.float32
    assert data.targets[:].tolist() == [1, 0, 1, 0]
    assert data.schema.names == (1, 3)


def test_floating_point_targets_are_values(tmp_path: Path) -> None:
    data = handed(tmp_path, X, np.array([0.5, 1, 2, 3]))
    assert data.n_classes == 0
    assert data.targets[:].tolist() == [0.5, 1, 2, 3]


@pytest.mark.parametrize("dtype", [str, object])
def test_texts_are_classes(tmp_path: Path, dtype: Any) -> None:
    data = handed(tmp_path, X, np.array(["b", "a", "b", "c"], dtype))
    assert data.schema.names == ("a", "b", "c")
    assert data.targets[:].tolist() == [1, 0, 1, 2]


def test_classes_that_are_known_need_not_occur(tmp_path: Path) -> None:
    data = handed(tmp_path, X, [0, 0, 2, 0], classes=5)
    assert data.n_classes == 5


@pytest.mark.parametrize("kind", [csr_array, csr_matrix, coo_matrix])
def test_sparse_features_stay_sparse(tmp_path: Path, kind: Any) -> None:
    data = handed(tmp_path, kind(X), [0, 1, 0, 1])
    assert data.schema.sparse
    assert np.array_equal(data.features[np.arange(4)].toarray(), X)
    assert data.features.indices.dtype == np.int32


def test_sparse_rows_are_sorted_and_summed_up(tmp_path: Path) -> None:
    twice = coo_matrix(([1.0, 2.0, 4.0], ([0, 0, 0], [2, 1, 2])), shape=(1, 3))
    data = handed(tmp_path, twice, [0.5])
    assert data.features.indices[:].tolist() == [1, 2]
    assert data.features.values[:].tolist() == [2, 5]


def test_the_callers_arrays_stay_as_they_are(tmp_path: Path) -> None:
    given = coo_matrix(X).tocsr()
    given.indices, given.data = given.indices[::-1].copy(), given.data[::-1].copy()
    before = given.indices.copy(), given.data.copy()
    arrays.as_table(given, "X")
    assert np.array_equal(given.indices, before[0])
    assert np.array_equal(given.data, before[1])


def test_other_numbers_have_another_fingerprint(tmp_path: Path) -> None:
    first = handed(tmp_path / "a", X, [0, 1, 0, 1])
    assert handed(tmp_path / "b", X, [0, 1, 0, 1]).fingerprint == first.fingerprint
    assert handed(tmp_path / "c", X, [0, 1, 1, 1]).fingerprint != first.fingerprint
    assert handed(tmp_path / "d", X + 1, [0, 1, 0, 1]).fingerprint != first.fingerprint


@pytest.mark.parametrize(
    ("features", "targets", "complaint"),
    [
        (np.where(X == 2, np.inf, X), [0, 1, 0, 1], "must be finite, row 1, column 1 holds inf"),
        (csr_array(X * 1e39), [0, 1, 0, 1], r"must fit float32 \(at most 3.4e38\)"),
        (csr_array((0, 3)), [], r"there must be examples and features, got shape \(0, 3\)"),
        (X[0], [1], r"must be a 2-D array"),
        (X, [0, 1], "must have equally many rows, got 4 and 2"),
        (X, [0.5, 1, np.inf, 2], "targets must be finite, row 2 holds inf"),
        (X.astype(str), [0, 1, 0, 1], "must be numbers, got an array of dtype"),
    ],
)
def test_unusable_arrays_are_named(
    tmp_path: Path, features: Any, targets: Any, complaint: str
) -> None:
    with pytest.raises(DataError, match=f"^the arrays: .*{complaint}"):
        handed(tmp_path, features, targets)


def test_heldout_arrays_have_the_labels_of_the_others(tmp_path: Path) -> None:
    data = handed(tmp_path, X, ["b", "a", "b", "c"])
    compatibility = Compatibility(data.schema, "the training data")
    wanted = Wanted(schema=data.schema, known_by="the training data")
    source = arrays.hand_over(X[:2], ["c", "b"], tmp_path / "other", wanted)
    assert open_cached(source, {}, tmp_path, compatibility=compatibility).targets[:].tolist() == [
        2,
        1,
    ]
    with pytest.raises(DataError, match="row 0 has the label 'd'; the labels of the training"):
        arrays.hand_over(X[:1], ["d"], tmp_path / "third", wanted)
    narrow = arrays.hand_over(X[:, :2], list("abca"), tmp_path / "fourth", wanted)
    with pytest.raises(DataError, match="has 2 features, it must have the 3 of the training data"):
        open_cached(narrow, {}, tmp_path, compatibility=compatibility)


def test_arrays_that_are_gone_are_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="are not here; they are on the machine of the program"):
        open_cached(f"arrays:{tmp_path}/nowhere", {}, tmp_path)
