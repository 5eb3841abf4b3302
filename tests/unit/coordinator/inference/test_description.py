"""A model file says what its model is for, what it was trained on, and how good it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.errors import ExitCode
from distbelief.app.models.files import SavedModel
from distbelief.app.settings.sections import ModelSettings
from tests.unit.coordinator.conftest import Run

FACTS: dict[str, Any] = {
    "run": "20261122-180858-050a-wide",
    "reason": "all passes done",
    "config": {"data": "flats.csv", "algorithm": "downpour", "note": "a try", "passes": 3},
    "fingerprint": "abc",
    "columns": [
        {"kind": "numeric", "name": "size"},
        {"kind": "date", "name": "built"},
        {"kind": "target", "name": "price"},
    ],
    "heldout": {"examples": 20, "metric": "rmse", "rmse": 0.5, "loss": 0.125},
}


def saved(path: Path, facts: dict[str, Any]) -> Path:
    settings = ModelSettings(model="linear")
    SavedModel(settings, Schema(2), np.zeros(3, np.float32), facts=facts).save(path)
    return path


def test_a_model_is_described_in_words(tmp_path: Path, run: Run) -> None:
    answer = run("describe", saved(tmp_path / "m.safetensors", FACTS))
    assert answer.out.splitlines() == [
        "model: linear for regression, 3 parameters, 2 features",
        "numeric columns: size",
        "date columns: built",
        "target: price",
        "trained: run 20261122-180858-050a-wide, downpour, all passes done",
        "data: flats.csv (fingerprint abc)",
        "held-out: rmse 0.5000, loss 0.1250 (20 examples)",
        "note: a try",
        "settings: passes = 3",
    ]


def test_machines_get_the_same_as_json(tmp_path: Path, run: Run) -> None:
    document = json.loads(run("describe", saved(tmp_path / "m", FACTS), "--json").out)
    assert document["task"] == "regression"
    assert document["heldout"] == FACTS["heldout"]
    assert document["settings"] == {"passes": 3}
    assert [column["name"] for column in document["columns"]] == ["size", "built", "price"]


def test_a_model_of_which_nothing_is_known_is_described_all_the_same(
    tmp_path: Path, run: Run
) -> None:
    answer = run("describe", saved(tmp_path / "m", {}))
    assert answer.out.splitlines() == [
        "model: linear for regression, 3 parameters, 2 features",
        "settings: the defaults",
    ]


@pytest.mark.parametrize("name", ["run", "reason", "config", "fingerprint", "heldout"])
@pytest.mark.parametrize("odd", [7, [], "x", None, {"rmse": {}}])
def test_odd_facts_end_nothing(name: str, odd: Any, tmp_path: Path, run: Run) -> None:
    answer = run("describe", saved(tmp_path / "m", {**FACTS, name: odd}))
    assert answer.code == ExitCode.OK


def test_what_is_no_model_is_one_sentence(tmp_path: Path, run: Run) -> None:
    (tmp_path / "m").write_text("no model")
    answer = run("describe", tmp_path / "m")
    assert (answer.code, answer.err.count("\n")) == (ExitCode.MODEL, 1)
