"""Tables of named columns in memory are taken by the names."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from distbelief.app.datasets.cache.opening import open_cached
from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.formats.arrays import as_table, hand_over
from distbelief.app.datasets.formats.frames import frame_of, named
from distbelief.app.datasets.run_data import compatibility_of
from distbelief.app.datasets.targets.wanted import Wanted
from distbelief.app.errors import DataError


class Likeness:
    """As pandas and polars do: names under ``columns``, a column by its name."""

    def __init__(self, **columns: Any) -> None:
        self._columns = {name: np.asarray(values) for name, values in columns.items()}
        self.columns = list(columns)

    def __getitem__(self, name: str) -> Any:
        return self._columns[name]


class Series(list[Any]):
    name = "kind"


AGES, SIZES, COLOURS = [5, 6, 7], [0.5, 1.5, 2.5], ["red", "blue", "red"]
TABLES = {
    "frame": Likeness(age=AGES, size=SIZES, colour=np.array(COLOURS, object)),
    "arrow": pa.table({"age": AGES, "size": SIZES, "colour": COLOURS}),
}


def opened(features: Any, folder: Path, **words: Any) -> Dataset:
    source = hand_over(features, Series(["a", "b", "a"]), folder / "arrays", Wanted(), **words)
    return open_cached(source, {}, folder / "cache")


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_becomes_what_a_csv_file_of_it_would(kind: str, tmp_path: Path) -> None:
    lines = [f"{a},{s},{c},k" for a, s, c in zip(AGES, SIZES, COLOURS, strict=True)]
    (tmp_path / "a.csv").write_text("age,size,colour,y\n" + "\n".join(lines) + "\n")
    file = open_cached(str(tmp_path / "a.csv"), {"buckets": 4}, tmp_path / "cache")
    table = opened(TABLES[kind], tmp_path, options={"buckets": 4})
    assert np.array_equal(table.features[:].toarray(), file.features[:].toarray())
    assert table.facts.names == file.facts.names == ("age", "size", "colour")
    assert table.facts.reading == {"target": "kind"}
    assert (table.schema.n_dense, table.schema.n_fields) == (2, 1)


def test_other_tables_are_taken_by_the_names(tmp_path: Path) -> None:
    known = compatibility_of(opened(Likeness(a=[1, 2, 3], b=[4, 5, 6]), tmp_path), "the model")
    other = Likeness(kind=["a"], b=[8], a=[7.0])
    assert as_table(other, "X", known).features.tolist() == [[7, 8]]
    assert as_table(np.array([[7, 8]]), "X", known).features.tolist() == [[7, 8]]
    with pytest.raises(DataError, match="X: the model has the feature 'b', there is no column"):
        as_table(Likeness(a=[1]), "X", known)
    with pytest.raises(DataError, match="X: the model does not know 'c' among the columns"):
        as_table(Likeness(a=[1], b=[1], c=[1]), "X", known)


def test_a_feature_may_be_called_as_targets_usually_are(tmp_path: Path) -> None:
    assert opened(Likeness(a=[1, 2, 3], y=[4, 5, 6]), tmp_path).facts.names == ("a", "y")


def test_columns_by_number_have_no_names() -> None:
    class Numbered(Likeness):
        columns: list[Any]

    table = Numbered(a=[1])
    table.columns = [0]
    assert frame_of(table, "X") is None
    table.columns = [0, "a"]
    with pytest.raises(DataError, match="X: names of columns must be texts, one is 0"):
        frame_of(table, "X")
    assert frame_of(np.ones((2, 2)), "X") is None


def test_what_is_no_number_is_named() -> None:
    with pytest.raises(DataError, match=r"column 'a' must hold numbers, it holds complex"):
        as_table(Likeness(a=[1j]), "X")
    with pytest.raises(DataError, match="X: row 1: column 'a': inf is not finite"):
        as_table(Likeness(a=[1, np.inf]), "X")


def test_dates_are_asked_about_and_seconds_if_it_is_said() -> None:
    days = {
        "numpy": np.array(["1970-01-02", "NaT"], "datetime64[s]"),
        "texts": np.array(["1970-01-02", None], object),
        "objects": np.array([datetime.date(1970, 1, 2), None], object),
    }
    with pytest.raises(DataError, match="column 'when' holds dates or times: the option dates=whe"):
        as_table(Likeness(when=days["numpy"]), "X")
    for when in days.values():
        options: dict[str, Any] = {"dates": "when", "missing": -1}
        found = as_table(Likeness(when=when), "X", options=options)
        assert found.features.tolist() == [[86400], [-1]]
        assert [column.kind for column in found.table] == ["date"]


def test_what_is_missing_is_filled_in_as_the_model_does(tmp_path: Path) -> None:
    ages = np.array([1.0, np.nan, 3.0])
    table = Likeness(age=ages, of=np.array([2, None, 4], object), c=["a", "NA", None])
    trained = opened(table, tmp_path, options={"indicator": True, "buckets": 1})
    assert trained.features[:].toarray()[:, :2].tolist() == [[1, 2], [2, 3], [3, 4]]
    assert trained.schema.n_dense == 4
    assert [column.missing for column in trained.facts.columns] == [1, 1, 2]
    known = compatibility_of(trained, "the model")
    other = Likeness(c=["b"], of=[np.nan], age=[np.nan])
    assert as_table(other, "X", known).features.toarray().tolist() == [[2, 3, 1, 1, 1]]


def test_numbers_too_large_for_float32_are_centred_as_in_the_training(tmp_path: Path) -> None:
    times = 1.7e12 + np.arange(3.0)
    trained = opened(Likeness(time=times, x=[1, 2, 3]), tmp_path)
    first = trained.features[0, 0]
    assert trained.features[:].tolist() == [[first, 1], [first + 1, 2], [first + 2, 3]]
    known = compatibility_of(trained, "the model")
    for other in (Likeness(x=[5], time=times[2:]), np.array([[times[2], 5.0]])):
        assert as_table(other, "X", known).features.tolist() == [[first + 2, 5]]


def test_columns_that_tell_rows_apart_are_left_out_unless_they_are_kept(tmp_path: Path) -> None:
    n = range(20)
    table = Likeness(name=[f"n{i}" for i in n], id=[*n], x=[i % 3 for i in n])
    assert as_table(table, "X").columns.names == ("x",)
    assert as_table(table, "X", options={"keep": "id"}).columns.names == ("id", "x")


def test_a_matrix_may_be_given_names() -> None:
    matrix = np.array([[1.0, 2.0]])
    assert as_table(named(matrix, ["a", "b"]), "X").columns.names == ("a", "b")
    assert named(matrix, None) is matrix
