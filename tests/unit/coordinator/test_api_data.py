"""Arrays and tables that a program hands over go with the other data of its training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distbelief.app.datasets.cache.opening import default_cache_folder
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.datasets.run_data import open_data
from distbelief.app.errors import DataError
from distbelief.app.models.files import SavedModel
from distbelief.app.settings.config import RunConfig
from distbelief.app.settings.sections import ModelSettings
from distbelief.coordinator.problem.handed_over import handed_over, sources


class Table(dict[str, Any]):
    """Columns by their names, as DataFrames have them."""

    def __init__(self, **columns: Any) -> None:
        super().__init__({name: np.asarray(values) for name, values in columns.items()})

    @property
    def columns(self) -> list[str]:
        return list(self)


def heldout(data: Any, holdout_data: Any, **settings: Any) -> tuple[Any, Any]:
    """What a training would hold out: features and targets."""
    given = {"data": data, "holdout_data": holdout_data}
    config = RunConfig(**{**settings, **sources(given)})
    with handed_over(config, given) as run:
        found = open_data(run, default_cache_folder())
        features, targets = found.heldout.between(0, 100)
        return np.array(features).tolist(), np.array(targets).tolist()


DATA = Table(a=[1, 2, 3], b=[4, 5, 6]), ["x", "y", "z"]
HELD = Table(b=[8], a=[7]), ["z"]


def test_held_out_tables_are_taken_by_the_names_of_the_training_table() -> None:
    assert heldout(DATA, HELD) == ([[7, 8]], [2])


def test_and_by_those_of_a_training_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,b,a,y\n1,4,1,x\n2,5,2,y\n3,6,3,z\n")
    data = str(tmp_path / "a.csv")
    assert heldout(data, HELD, data_options={"ignore": "id"}) == ([[8, 7]], [2])


def test_a_held_out_file_is_taken_by_the_names_of_a_table(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("b,a,y\n8,7,z\n")
    assert heldout(DATA, str(tmp_path / "a.csv")) == ([[7, 8]], [2])


def test_tables_are_taken_by_the_names_of_the_model_that_training_goes_on_from(
    tmp_path: Path,
) -> None:
    facts = {"features": ["b", "a"], "all_columns": ["b", "a"], "reading": {}}
    schema = Schema(2, 4, labels=("w", "x", "y", "z"))
    saved = SavedModel(ModelSettings(model="softmax"), schema, np.zeros(12), facts=facts)
    saved.save(tmp_path / "old")
    init_from = str(tmp_path / "old")
    assert heldout(DATA, HELD, init_from=init_from) == ([[8, 7]], [3])
    with pytest.raises(DataError, match=r"label 'v'; the labels of the model .*old are w, x, y, z"):
        heldout((DATA[0], ["x", "y", "v"]), HELD, init_from=init_from)
