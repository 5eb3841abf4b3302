"""Saved models with tables: the rows that were touched, and the seed for all others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from scipy.sparse import csr_array, random_array

from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.errors import ModelError
from distbelief.app.layout.keys import PARAMETERS, slot
from distbelief.app.layout.rows import TableRows
from distbelief.app.models.files import SavedModel, read_model
from distbelief.app.models.linear import LogisticRegression
from distbelief.app.settings.sections import ModelSettings

N_FEATURES = 1000
IDS = np.array([3, 4, 500, 999])
VALUES = np.array([[1.0], [-2.0], [0.5], [3.0]], np.float32)


@pytest.fixture
def saved() -> SavedModel:
    tables = {
        PARAMETERS: [TableRows(IDS, VALUES)],
        slot("adagrad"): [TableRows(IDS, np.abs(VALUES))],
    }
    return SavedModel(
        ModelSettings(model="logistic"),
        Schema(N_FEATURES, 2, sparse=True),
        np.array([0.25], np.float32),
        {"adagrad": np.array([2.0], np.float32)},
        {},
        tables,
        seed=7,
    )


def test_rows_and_slots_come_back_to_the_bit(saved: SavedModel, tmp_path: Path) -> None:
    saved.save(tmp_path / "model")
    again = read_model(tmp_path / "model")
    assert (again.seed, again.schema) == (7, saved.schema)
    assert again.parameters.tolist() == [0.25]
    assert again.slots["adagrad"].tolist() == [2.0]
    for name in (PARAMETERS, slot("adagrad")):
        ((ours,), (theirs,)) = (each.tables[name] for each in (saved, again))
        assert ours.ids.tolist() == theirs.ids.tolist()
        assert ours.values.tobytes() == theirs.values.tobytes()


def test_other_programs_find_rows_and_their_ids_by_name(saved: SavedModel, tmp_path: Path) -> None:
    saved.save(tmp_path / "model")
    with safe_open(tmp_path / "model", framework="numpy") as file:
        assert file.get_tensor("weights").tolist() == VALUES.tolist()
        assert file.get_tensor("weights:rows").tolist() == IDS.tolist()
        assert file.get_tensor("slot:adagrad/weights").tolist() == np.abs(VALUES).tolist()


def test_a_file_is_as_large_as_what_was_touched(saved: SavedModel, tmp_path: Path) -> None:
    saved.save(tmp_path / "model")
    assert (tmp_path / "model").stat().st_size < 3000


def test_predictions_are_those_of_the_flat_parameters(saved: SavedModel) -> None:
    rng = np.random.default_rng(0)
    features = csr_array(random_array((50, N_FEATURES), density=0.05, rng=rng, dtype=np.float32))
    flat = saved.flat()
    assert flat.shape == (N_FEATURES + 1,)
    assert flat[IDS].tolist() == VALUES[:, 0].tolist()
    assert np.count_nonzero(flat) == 5
    model, vector, narrow = saved.source()(features)
    whole = LogisticRegression(N_FEATURES, sparse=True)
    assert np.array_equal(model.predict(vector, narrow), whole.predict(flat, features))


def test_a_table_that_lacks_its_ids_is_refused(saved: SavedModel, tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    saved.save(tmp_path / "model")
    with safe_open(tmp_path / "model", framework="numpy") as file:
        header = dict(file.metadata())
        arrays = {n: file.get_tensor(n) for n in file.keys() if n != "weights:rows"}  # noqa: SIM118
    save_file(arrays, tmp_path / "model", header)
    with pytest.raises(ModelError, match="weights:rows is missing"):
        read_model(tmp_path / "model")
