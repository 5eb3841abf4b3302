"""What a run trains on, and what it holds out: a share, or a file of its own."""

from __future__ import annotations

from datetime import datetime
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


# --- other divisions

ROWS = [
    (
        f"{i}",
        "ab"[i % 5 == 0],
        ("train", "heldout", "test")[i % 4 % 3],
        f"2024-01-{1 + i * 7 % 30:02}",
    )
    for i in range(30)
]


def divided(tmp_path: Path, rows: Any = ROWS, **settings: Any) -> RunData:
    lines = "".join(",".join(row) + "\n" for row in rows)
    (tmp_path / "all.csv").write_text(f"x,y,part,day\n{lines}")
    return open_data(RunConfig(data=str(tmp_path / "all.csv"), **settings), tmp_path / "cache")


def numbers(selection: Any) -> list[float]:
    return sorted(selection.between(0, 1000)[0][:, 0].tolist())


def of_train(data: RunData) -> list[float]:
    return sorted(data.dataset.features[data.train[:]][:, 0].tolist())


def test_a_column_says_the_parts_and_is_no_feature(tmp_path: Path) -> None:
    for _ in range(2):  # made, and from the cache
        data = divided(tmp_path, holdout="part", data_options={"ignore": "day"})
        said = {
            part: [float(r[0]) for r in ROWS if r[2] == part]
            for part in ("train", "heldout", "test")
        }
        assert of_train(data) == said["train"]
        assert numbers(data.heldout) == said["heldout"]
        assert numbers(data.test) == said["test"]
        assert data.dataset.facts.names == ("x",)


def test_a_column_of_two_parts_has_no_test(tmp_path: Path) -> None:
    for words in (("train", "test"), ("0", "1"), ("False", "True"), ("train", "valid")):
        rows = [(x, y, words[int(x) % 3 == 0], day) for x, y, _, day in ROWS]
        data = divided(tmp_path, rows, holdout="part", data_options={"ignore": "day"})
        assert numbers(data.heldout) == list(range(0, 30, 3))
        assert len(data.test) == 0


def test_a_word_that_says_no_part_is_named(tmp_path: Path) -> None:
    rows = [*ROWS[:3], ("3", "a", "maybe", "2024-01-01")]
    words = (
        r"line 5: column 'part': 'maybe' must be train, heldout or test \(or 0 or 1\), for holdout"
    )
    with pytest.raises(DataError, match=words):
        divided(tmp_path, rows, holdout="part", data_options={"ignore": "day"})
    settings: Any = {"holdout": "part", "data_options": {"ignore": "day", "bad_lines": 1}}
    assert len(divided(tmp_path, rows, **settings).dataset.apart) == 3


def test_the_last_by_a_column_are_held_out_and_the_very_last_are_the_test(tmp_path: Path) -> None:
    data = divided(tmp_path, split="day", holdout=0.2, test=0.1, data_options={"ignore": "part"})
    order = sorted(ROWS, key=lambda row: row[3])
    assert numbers(data.test) == sorted(float(row[0]) for row in order[27:])
    assert numbers(data.heldout) == sorted(float(row[0]) for row in order[21:27])
    assert of_train(data) == sorted(float(row[0]) for row in order[:21])
    assert data.dataset.facts.names == ("x",)


def test_numbers_and_moments_have_an_order_and_words_have_none(tmp_path: Path) -> None:
    for days in (
        ["3", "1e1", "-2"],
        ["2024-01-01T10:00:00+02:00", "2024-01-01 09:00", "2023-12-31"],
    ):
        rows = [(str(i), "ab"[i % 2], "", day) for i, day in enumerate(days)]
        settings: Any = {"split": "day", "holdout": 0.33, "data_options": {"ignore": "part"}}
        assert numbers(divided(tmp_path, rows, **settings).heldout) == [1]
    rows = [("1", "a", "", "2024-01-01"), ("2", "b", "", "soon")]
    with pytest.raises(DataError, match="line 3: column 'day': 'soon' must be a finite number"):
        divided(tmp_path, rows, **settings)


def test_classes_may_have_equal_shares(tmp_path: Path) -> None:
    ignored = {"ignore": "part,day"}
    data = divided(tmp_path, split="stratified", holdout=0.5, data_options=ignored)
    _, labels = data.heldout.between(0, 100)
    assert sorted(labels.tolist()) == [0] * 12 + [1] * 3
    with pytest.raises(DataError, match="split stratified is for classes, and the targets are"):
        divided(
            tmp_path,
            split="stratified",
            data_options={"target": "x", "ignore": "day", "task": "regression"},
        )


def test_a_test_may_be_a_file_of_its_own(tmp_path: Path) -> None:
    ignored = {"ignore": "day"}
    data = divided(tmp_path, test_data=str(tmp_path / "all.csv"), data_options=ignored)
    assert len(data.test) == 30
    assert data.fingerprint != data.dataset.fingerprint


@pytest.mark.parametrize("source", ["digits", "a.npz"])
def test_data_without_columns_cannot_be_divided_by_one(tmp_path: Path, source: str) -> None:
    with pytest.raises(DataError, match="split=day names a column, which only CSV and Parquet"):
        open_data(RunConfig(data=source, split="day"), tmp_path)


def test_a_column_of_a_parquet_file_divides_as_that_of_a_csv_file(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    moments = [datetime.fromisoformat(row[3]) for row in ROWS]
    columns = {
        "x": [float(row[0]) for row in ROWS],
        "y": [row[1] for row in ROWS],
        "part": [row[2] for row in ROWS],
    }
    days = (moments, [each.date() for each in moments], [row[3] for row in ROWS])
    for name, column in zip("abc", days, strict=True):
        parquet.write_table(arrow.table({**columns, "day": column}), tmp_path / f"{name}.parquet")
        path = str(tmp_path / f"{name}.parquet")
        for settings in ({"split": "day"}, {"holdout": "part"}):
            other = "part" if "split" in settings else "day"
            asked: Any = {**settings, "data_options": {"ignore": other}}
            theirs = open_data(RunConfig(data=path, **asked), tmp_path / "cache")
            assert numbers(theirs.heldout) == numbers(divided(tmp_path, **asked).heldout)


# --- weights


WEIGHTS = [i % 4 / 2 for i in range(30)]


def weighted(tmp_path: Path, weights: Any = WEIGHTS, **settings: Any) -> RunData:
    lines = "".join(f"{','.join(row)},{w}\n" for row, w in zip(ROWS, weights, strict=True))
    (tmp_path / "all.csv").write_text(f"x,y,part,day,w\n{lines}")
    options = {"weight": "w", "target": "y", "ignore": "part,day"}
    known: dict[str, Any] = {"data": str(tmp_path / "all.csv"), "data_options": options}
    return open_data(RunConfig(**known | settings), tmp_path / "cache")


@pytest.mark.parametrize("split", ["random", "stratified"])
def test_weights_go_with_their_examples_into_all_parts_and_have_mean_1_in_training(
    tmp_path: Path, split: str
) -> None:
    data = weighted(tmp_path, holdout=0.3, test=0.2, split=split)
    train = data.train[:]
    of_train = data.dataset.weights[train]
    assert of_train.mean() == pytest.approx(1)
    assert data.total_weight == pytest.approx(sum(WEIGHTS[i] for i in train))
    unit = data.total_weight / len(train)
    for part in (data.heldout, data.test):
        rows = part.between(0, 30)[0][:, 0].astype(int)
        assert part.weights(0, 30) == pytest.approx([WEIGHTS[i] / unit for i in rows])
        assert part.weights(1, 3) == pytest.approx([WEIGHTS[i] / unit for i in rows[1:3]])


def test_classes_multiply_weights_wherever_the_examples_are(tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("x,w,y\n1,2,a\n2,1,b\n3,0.5,b\n")
    plain = tmp_path / "plain.csv"
    plain.write_text("x,y\n1,a\n2,b\n")
    named: dict[str, Any] = {"holdout_data": str(other), "test_data": str(plain)}
    data = weighted(tmp_path, class_weight="b=4", **named)
    factors = np.array([4.0 if y == "b" else 1.0 for _, y, *_ in ROWS])
    expected = factors * WEIGHTS
    assert data.dataset.weights[:] == pytest.approx(expected / expected.mean(), rel=1e-6)
    assert data.heldout.weights(0, 9) == pytest.approx(np.array([2, 4, 2]) * 3 / 8, rel=1e-6)
    assert data.test.weights(0, 9) == pytest.approx(np.array([1, 4]) * 2 / 5, rel=1e-6)
    sums = {y: sum(w for row, w in zip(ROWS, WEIGHTS, strict=True) if row[1] == y) for y in "ab"}
    balanced = weighted(tmp_path, class_weight="balanced", **named).dataset
    both = [balanced.weights[:][balanced.targets[:] == label].sum() for label in (0, 1)]
    assert both == pytest.approx([15, 15])
    assert sums["a"] != sums["b"]


def test_a_part_whose_weights_are_all_0_is_refused(tmp_path: Path) -> None:
    for which, said in (("heldout", "held out"), ("test", "of the test")):
        weights = [float(row[2] != which) for row in ROWS]
        options = {"weight": "w", "target": "y", "ignore": "day"}
        with pytest.raises(DataError, match=f"the weights of all examples {said} are 0"):
            weighted(tmp_path, weights, holdout="part", data_options=options)
    nothing = [float(row[2] != "train") for row in ROWS]
    with pytest.raises(DataError, match="the weights of all training examples are 0"):
        weighted(tmp_path, nothing, holdout="part", data_options=options)
