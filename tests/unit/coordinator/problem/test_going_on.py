"""A training that goes on from a saved model takes columns and classes by their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.errors import DataError, ModelError
from distbelief.app.models.files import SavedModel
from distbelief.app.runs.record import RunRecord
from distbelief.app.settings.config import RunConfig
from distbelief.app.settings.sections import ModelSettings
from distbelief.coordinator.problem.problem import Problem, prepare

LABELS = ("Bern", "Rome", "Ulm")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    facts = {
        "features": ["a", "b"],
        "all_columns": ["id", "a", "b", "town"],
        "reading": {"target": "town", "ignore": '"id"', "header": True, "delimiter": ","},
    }
    parameters = np.arange(9, dtype=np.float32)
    model = SavedModel(
        ModelSettings(model="softmax"),
        Schema(2, 3, n_dense=2, labels=LABELS),
        parameters,
        {},
        facts,
    )
    model.save(tmp_path / "old.safetensors")
    return tmp_path / "old.safetensors"


def going_on(saved: Path, text: str, **settings: Any) -> Problem:
    file = saved.with_name("new.csv")
    file.write_text(text)
    config = RunConfig(
        **{"model": "softmax", "data": str(file), "init_from": str(saved), "holdout": 0, **settings}
    )
    return prepare(config, 1)


def test_columns_and_classes_are_those_of_the_model(saved: Path) -> None:
    found = going_on(saved, "town,b,a\nUlm,1,2\nBern,3,4\n")
    assert found.dataset.features[:].tolist() == [[2, 1], [4, 3]]
    assert found.dataset.targets[:].tolist() == [2, 0]
    assert found.dataset.schema.names == LABELS
    assert found.initial_values.parameters.tolist() == list(range(9))


def test_held_out_data_follow(saved: Path) -> None:
    saved.with_name("held.csv").write_text("a,town,b\n7,Rome,8\n")
    found = going_on(
        saved, "town,b,a\nUlm,1,2\nBern,3,4\n", holdout_data=str(saved.with_name("held.csv"))
    )
    features, targets = found.data.heldout.between(0, 1)
    assert (features.tolist(), targets.tolist()) == ([[7, 8]], [1])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("town,b,a\nParis,1,2\n", "the label 'Paris'; the labels of the model .*old.safetensors"),
        ("town,b\nUlm,1\n", "model .*old.safetensors has the feature 'a', there is no column"),
        ("town,b,a,c\nUlm,1,2,3\n", "old.safetensors does not know 'c' among the columns"),
    ],
)
def test_what_the_model_does_not_know_is_named(saved: Path, text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        going_on(saved, text)


def test_classes_that_were_made_must_be_those_of_the_model(tmp_path: Path) -> None:
    model = SavedModel(
        ModelSettings(model="softmax"),
        Schema(2, 3, labels=LABELS),
        np.zeros(9, np.float32),
    )
    model.save(tmp_path / "old")
    config = RunConfig(
        data="synthetic:softmax",
        data_options={"features": 2, "classes": 3},
        model="softmax",
        init_from=str(tmp_path / "old"),
    )
    with pytest.raises(
        ModelError, match="has the classes Bern, Rome, Ulm, the training data have 0"
    ):
        prepare(config, 1)


def test_a_run_that_is_resumed_reads_its_data_without_the_model(saved: Path) -> None:
    began = going_on(saved, "town,b,a\nUlm,1,2\nBern,3,4\n")
    record = RunRecord(
        "run",
        began.config,
        began.layout,
        (),
        began.data.fingerprint,
        began.dataset.schema,
        fits=began.data.fits,
    )
    saved.unlink()
    again = prepare(began.config, 1, recorded=RunRecord.from_json("run", record.to_json()))
    assert again.dataset.features[:].tolist() == [[2, 1], [4, 3]]
    assert again.dataset.schema == began.dataset.schema
