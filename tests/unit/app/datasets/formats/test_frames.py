"""Tables of named columns in memory are taken by the names."""

from __future__ import annotations

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
    with pytest.raises(DataError, match=r"column 'when' must hold numbers, it holds datetime64"):
        as_table(Likeness(when=np.array(["2020-01-01"], "datetime64[s]")), "X")
    with pytest.raises(DataError, match="X: row 1: column 'a': nan is not finite"):
        as_table(Likeness(a=[1, np.nan]), "X")


def test_a_matrix_may_be_given_names() -> None:
    matrix = np.array([[1.0, 2.0]])
    assert as_table(named(matrix, ["a", "b"]), "X").columns.names == ("a", "b")
    assert named(matrix, None) is matrix
