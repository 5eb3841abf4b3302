"""What a data set may hold, and the sentences that say so."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distbelief.app.datasets.examples import checks
from distbelief.app.datasets.examples.checks import Array, Mask
from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.errors import DataError


def classification(**changes: Any) -> Dataset:
    good = Dataset(
        features=np.arange(12, dtype=np.float32).reshape(4, 3),
        targets=np.array([0, 1, 1, 0]),
        schema=Schema(3, 2),
        name="some.npz",
        fingerprint="00",
    )
    return dataclasses.replace(good, **changes)


def regression(**changes: Any) -> Dataset:
    targets = np.array([0.5, -1, 2, 3], np.float32)
    return classification(**{"targets": targets, "schema": Schema(3), **changes})


def with_entry(array: Array, index: Any, value: float) -> Array:
    changed = array.copy()
    changed[index] = value
    return changed


def test_a_sound_data_set_passes() -> None:
    classification().validate()
    regression().validate()


def test_sizes_come_from_the_features() -> None:
    assert (classification().n_examples, classification().n_features) == (4, 3)


def test_a_single_class_passes() -> None:
    classification(targets=np.zeros(4, np.int64), schema=Schema(3, 1)).validate()


def test_a_data_set_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        classification().name = "other"  # type: ignore[misc]


FEATURES = classification().features

UNUSABLE = {
    "no examples": (
        classification(features=np.zeros((0, 3), np.float32), targets=np.zeros(0, np.int64)),
        "there are no examples, at least one is needed",
    ),
    "no features": (
        classification(features=np.zeros((4, 0), np.float32)),
        "the examples have no features, at least one is needed",
    ),
    "flat features": (
        classification(features=np.zeros(4, np.float32)),
        "features must be a 2-D array (n_examples, n_features), got shape (4,)",
    ),
    "images": (
        classification(features=np.zeros((4, 3, 3), np.float32)),
        "features must be a 2-D array (n_examples, n_features), got shape (4, 3, 3)",
    ),
    "lengths": (
        classification(targets=np.zeros(5, np.int64)),
        "features and targets must have equally many rows, got 4 and 5",
    ),
    "one-hot targets": (
        classification(targets=np.zeros((4, 2), np.int64)),
        "targets must be a 1-D array with one number for each example, got shape (4, 2)",
    ),
    "nan feature": (
        classification(features=with_entry(FEATURES, (2, 1), np.nan)),
        "features must be finite, row 2, column 1 holds nan",
    ),
    "infinite feature": (
        classification(features=with_entry(FEATURES, (3, 0), -np.inf)),
        "features must be finite, row 3, column 0 holds -inf",
    ),
    "nan target": (
        regression(targets=with_entry(regression().targets, 1, np.nan)),
        "targets must be finite, row 1 holds nan",
    ),
    "negative label": (
        classification(targets=np.array([1, -1, 1, -1])),
        "labels must not be negative, row 1 holds -1; number the classes from 0",
    ),
    "label too large": (
        classification(targets=np.array([0, 1, 0, 2])),
        "labels of 2 classes must be 0 to 1, row 3 holds 2",
    ),
    "labels as floats": (
        classification(targets=np.array([0.0, 1.0, 1.0, 0.0])),
        "labels must be int64, got float64",
    ),
    "values as integers": (
        regression(targets=np.array([1, 2, 3, 4])),
        "targets must be float32, got int64",
    ),
    "objects as features": (
        classification(features=np.array([[None]] * 4)),
        "features must be whole or floating-point numbers, got an array of dtype object",
    ),
    "text as features": (
        classification(features=np.array([["a"]] * 4)),
        "features must be whole or floating-point numbers, got an array of dtype <U1",
    ),
    "text as targets": (
        classification(targets=np.array(["a"] * 4)),
        "targets must be whole or floating-point numbers, got an array of dtype <U1",
    ),
    "double features": (
        classification(features=FEATURES.astype(np.float64)),
        "features must be C-contiguous float32, got float64",
    ),
    "columns first": (
        classification(features=np.asfortranarray(FEATURES)),
        "features must be C-contiguous float32, got float32 with strides (4, 16)",
    ),
    "negative classes": (
        classification(schema=Schema(3, -1)),
        "n_classes must be 0 (regression) or positive, got -1",
    ),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_what_no_model_can_train_on_is_named(case: str) -> None:
    dataset, complaint = UNUSABLE[case]
    with pytest.raises(DataError, match=re.escape(f"some.npz: {complaint}")):
        dataset.validate()


@given(
    n_rows=st.integers(1, 30),
    n_columns=st.integers(1, 5),
    chunk_numbers=st.integers(1, 40),
    data=st.data(),
)
def test_the_first_bad_entry_is_found_whatever_the_chunks(
    n_rows: int, n_columns: int, chunk_numbers: int, data: st.DataObject
) -> None:
    values = np.zeros((n_rows, n_columns), np.float32)
    entries = st.tuples(st.integers(0, n_rows - 1), st.integers(0, n_columns - 1))
    bad = data.draw(st.lists(entries, max_size=4))
    for entry in bad:
        values[entry] = np.nan

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checks, "CHUNK_NUMBERS", chunk_numbers)
        assert checks.first_where(values, np.isnan) == min(bad, default=None)


def test_only_a_bounded_chunk_is_looked_at_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "CHUNK_NUMBERS", 100)
    sizes = []

    def is_bad(chunk: Array) -> Mask:
        sizes.append(chunk.size)
        return np.zeros(chunk.shape, bool)

    checks.first_where(np.zeros((95, 7), np.float32), is_bad)

    assert max(sizes) <= 100
    assert sum(sizes) == 95 * 7


def test_a_memory_map_is_checked_like_an_array(tmp_path: Path) -> None:
    np.save(tmp_path / "features.npy", with_entry(FEATURES, (1, 2), np.inf))
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    with pytest.raises(DataError, match="row 1, column 2 holds inf"):
        classification(features=mapped).validate()
