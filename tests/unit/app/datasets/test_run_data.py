"""What a run trains on, and what it holds out: a share, or a file of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distbelief.app.datasets.run_data import RunData, open_data
from distbelief.app.errors import DataError
from distbelief.app.settings.config import RunConfig


@pytest.fixture
def data(tmp_path: Path) -> Any:
    """Opens the data of a run on CSV files of one column and its labels."""

    def open_files(held: str | None = None, **settings: Any) -> RunData:
        lines = "".join(f"{i},{'abc'[i % 3]}\n" for i in range(30))
        (tmp_path / "train.csv").write_text(f"x,y\n{lines}")
        if held is not None:
            (tmp_path / "held.csv").write_text(f"x,y\n{held}")
            settings["holdout_data"] = str(tmp_path / "held.csv")
        config = RunConfig(data=str(tmp_path / "train.csv"), **settings)
        return open_data(config, tmp_path / "cache")

    return open_files


def test_a_share_is_held_out(data: Any) -> None:
    opened = data(holdout=0.3, seed=4)
    features, _ = opened.heldout.between(0, 9)
    trained = opened.dataset.features[opened.train[:]]
    assert sorted([*features[:, 0], *trained[:, 0]]) == list(range(30))
    assert (len(opened.train), len(opened.heldout)) == (21, 9)


def test_parts_of_what_is_held_out_join_to_all_of_it(data: Any) -> None:
    for held in (data(), data("5,c\n6,a\n7,a\n")):
        whole, labels = held.heldout.between(0, 100)
        assert len(whole) == len(held.heldout)
        parts = [held.heldout.between(start, start + 2) for start in range(0, len(whole), 2)]
        assert np.array_equal(np.concatenate([part[0] for part in parts]), whole)
        assert np.array_equal(np.concatenate([part[1] for part in parts]), labels)


def test_a_file_of_its_own_is_held_out_in_its_order(data: Any) -> None:
    opened = data("5,c\n6,a\n")
    features, labels = opened.heldout.between(0, 2)
    assert features[:, 0].tolist() == [5, 6]
    assert labels.tolist() == [2, 0]  # as the training data count
    assert sorted(opened.train[:]) == list(range(30))


def test_both_files_are_in_the_fingerprint(data: Any) -> None:
    fingerprints = {data(held).fingerprint for held in (None, "5,c\n", "6,c\n")}
    assert len(fingerprints) == 3


def test_a_held_out_label_that_is_not_trained_on_is_named(data: Any) -> None:
    words = "held.csv: row 1 has the label 'd'; the labels of the training data are a, b, c"
    with pytest.raises(DataError, match=words):
        data("5,c\n6,d\n")


def test_held_out_data_that_are_made_must_have_the_classes_too(tmp_path: Path) -> None:
    sizes = {"features": 3, "examples": 50}
    made = {"data": "synthetic:logistic", "data_options": sizes}
    opened = open_data(RunConfig(**made, holdout_data="synthetic:logistic"), tmp_path)
    assert len(opened.heldout) == 50
    words = "synthetic:softmax has 5 classes, it must have those of the training data: 2"
    with pytest.raises(DataError, match=words):
        open_data(RunConfig(**made, holdout_data="synthetic:softmax"), tmp_path)
