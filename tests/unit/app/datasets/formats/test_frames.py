"""Tables of named columns in memory are taken by the names."""

from __future__ import annotations

import datetime
import importlib.util
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from distbelief.app.datasets.cache.opening import open_cached
from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.formats.arrays import as_table, hand_over
from distbelief.app.datasets.formats.frames import frame_of
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


N = 40
SOME = np.random.default_rng(0)
WHOLES = SOME.integers(0, 5, N)
DAYS = [datetime.date(2020, 1, 1) + datetime.timedelta(int(i)) for i in WHOLES]
GAPS = np.where(WHOLES == 1, np.nan, SOME.normal(size=N))

#: A column, what stands in a CSV file for it, and options.
COLUMNS: dict[str, tuple[Any, list[str], dict[str, Any]]] = {
    "texts of numbers": ([str(i) for i in WHOLES], [str(i) for i in WHOLES], {}),
    "numbers and words": ([1, 2.5, 3, "NA"] * 10, ["1", "2.5", "3", "NA"] * 10, {}),
    "half numbers": ([1, 2, "a", None] * 10, ["1", "2", "a", ""] * 10, {}),
    "truth": (WHOLES > 2, [str(i > 2) for i in WHOLES], {}),
    "truth with gaps": ([True, None] * 20, ["True", ""] * 20, {}),
    "decimals": ([Decimal(int(i)) for i in WHOLES], [str(i) for i in WHOLES], {}),
    "dates": (DAYS, [str(day) for day in DAYS], {"dates": "c"}),
    "asked about": (DAYS, [str(day) for day in DAYS], {}),
    "numbers with gaps": (GAPS, ["" if x != x else repr(float(x)) for x in GAPS], {}),
    "their median": (
        GAPS,
        ["" if x != x else repr(float(x)) for x in GAPS],
        {"missing": "median", "indicator": True},
    ),
    "no word for it": (GAPS, ["" if x != x else repr(float(x)) for x in GAPS], {"na": "none"}),
    "large": (1.7e12 + WHOLES * 1e3, [f"{1.7e12 + i * 1e3:.0f}" for i in WHOLES], {}),
    "large with gaps": (
        [None if i == 1 else 1.7e12 + i * 1e3 for i in WHOLES],
        ["" if i == 1 else f"{1.7e12 + i * 1e3:.0f}" for i in WHOLES],
        {},
    ),
    "of another country": (
        [f"1.{i},5 €" for i in WHOLES + 100],
        [f"1.{i},5 €" for i in WHOLES + 100],
        {"decimal": ",", "thousands": ".", "units": "€"},
    ),
    "refused": (["$5"] * N, ["$5"] * N, {}),
    "all different": ([f"n{i}" for i in range(N)], [f"n{i}" for i in range(N)], {}),
    "nothing": ([None] * N, [""] * N, {}),
    "said to be categories": (WHOLES, [str(i) for i in WHOLES], {"categorical": "c"}),
}


def found(data: Dataset) -> tuple[Any, Any]:
    features = data.features[:]
    kept = [column for column in data.facts.columns if column.kind != "target"]
    return kept, features if isinstance(features, np.ndarray) else features.toarray()


def or_error(read: Any) -> Any:
    try:
        return found(read())
    except DataError as error:
        return str(error).partition(": ")[2]


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_means_what_it_does_in_a_csv_file(name: str, tmp_path: Path) -> None:
    values, written, options = COLUMNS[name]
    options = {"buckets": 8, **options}
    objects = np.array([*values, None], object)[:-1] if isinstance(values, list) else values
    x = WHOLES / 4
    lines = ["x;c;y", *(f"{a};{c};0" for a, c in zip(map(repr, x.tolist()), written, strict=True))]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    of_file = {"delimiter": ";", "task": "regression", **options}
    if options.get("decimal") == ",":
        of_file, options = {**of_file, "ignore": "x"}, {**options, "ignore": "x"}

    def file() -> Dataset:
        return open_cached(str(tmp_path / "a.csv"), of_file, tmp_path / "cache")

    def table() -> Dataset:
        frame = Likeness(x=x, c=objects)
        source = hand_over(frame, np.zeros(N), tmp_path / "arrays", Wanted(), options=options)
        return open_cached(source, {}, tmp_path / "cache")

    expected, got = or_error(file), or_error(table)
    if isinstance(expected, str):
        assert got == expected
    else:
        assert got[0] == expected[0]
        assert np.array_equal(got[1], expected[1])


def test_a_column_whose_type_is_categories_holds_categories() -> None:
    coded = pa.array([3, None, 3]).dictionary_encode()
    table = pa.table({"c": coded, "x": [1, 2, 3]})
    of_texts = Likeness(c=np.array(["3", None, "3"], object), x=[1, 2, 3])
    options: dict[str, Any] = {"buckets": 4, "categorical": "c"}
    expected = as_table(of_texts, "X", options=options)
    assert as_table(table, "X", options={"buckets": 4}).table == expected.table
    assert (as_table(table, "X", options={"buckets": 4}).features != expected.features).nnz == 0


def test_pandas_and_polars_say_what_arrow_says() -> None:
    """Every kind of column that they have, if they are here."""
    pandas = pytest.importorskip("pandas")
    columns = {
        "category": pandas.Series(["a", None, "b"], dtype="category"),
        "codes": pandas.Series([7, None, 8], dtype="category"),
        "string": pandas.Series(["a", None, "b"], dtype="string"),
        "object": pandas.Series(["a", np.nan, "b"], dtype=object),
        "boolean": pandas.Series([True, None, False], dtype="boolean"),
        "whole": pandas.Series([1, None, 3], dtype="Int64"),
        "float": pandas.Series([1.5, None, 3], dtype="Float64"),
        "arrow": pandas.Series([1, None, 3], dtype="int64[pyarrow]"),
        "when": pandas.to_datetime(pandas.Series(["2020-01-01", None, "2020-01-03"])),
        "zone": pandas.to_datetime(pandas.Series(["2020-01-01", None, "2020-01-03"]), utc=True),
    }
    frame = pandas.DataFrame(columns)
    options: dict[str, Any] = {"buckets": 8, "dates": "when,zone"}
    plain = Likeness(
        category=np.array(["a", None, "b"], object),
        codes=np.array(["7", None, "8"], object),
        string=np.array(["a", None, "b"], object),
        object=np.array(["a", None, "b"], object),
        boolean=np.array([1, None, 0], object),
        whole=np.array([1, None, 3], object),
        float=np.array([1.5, None, 3], object),
        arrow=np.array([1, None, 3], object),
        when=np.array(["2020-01-01", None, "2020-01-03"], object),
        zone=np.array(["2020-01-01", None, "2020-01-03"], object),
    )
    expected = as_table(plain, "X", options={**options, "categorical": "codes"})
    tables = [frame, pa.Table.from_pandas(frame)]
    if importlib.util.find_spec("polars"):
        polars: Any = importlib.import_module("polars")
        of_polars = polars.from_pandas(frame.drop(columns="codes"))
        codes = polars.Series("codes", ["7", None, "8"], dtype=polars.Categorical)
        tables.append(of_polars.with_columns(codes))
    for table in tables:
        found = as_table(table, "X", options=options)
        kinds = {column.name: column for column in expected.table}
        assert {column.name: column for column in found.table} == kinds
        if table is frame:
            assert (found.features != expected.features).nnz == 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[1, 2], [3]], "row 0 holds list"),
        ([1, b"x"], "row 1 holds bytes"),
        (["a", "b\0c"], "row 1 holds a text that no file could hold: 'b.x00c'"),
        (["a", "\ud800"], "row 1 holds a text that no file could hold"),
        (np.ones((2, 2)), r"it has the shape \(2, 2\)"),
    ],
)
def test_a_column_of_other_things_is_refused(values: Any, message: str) -> None:
    if isinstance(values, list):
        values = np.array([*values, None], object)[:-1]
    with pytest.raises(DataError, match=f"X: column 'c' must hold numbers, .*; {message}"):
        as_table(Likeness(c=values), "X")


def test_texts_and_options_of_columns_need_names(tmp_path: Path) -> None:
    for values in (np.array([["a", 1]], object), np.array([["a"]])):
        with pytest.raises(DataError, match="texts are taken from a table whose columns have name"):
            as_table(values, "X")
    with pytest.raises(DataError, match="X: the option dates is for tables whose columns have nam"):
        as_table(np.ones((1, 2)), "X", options={"dates": "0"})
    trained = opened(Likeness(c=["a", "b", "a"], x=[1, 2, 3]), tmp_path, options={"buckets": 4})
    known = compatibility_of(trained, "the model")
    with pytest.raises(DataError, match="X: the model has the categorical columns 'c': they are t"):
        as_table(np.ones((1, 2)), "X", known)


def test_what_stands_for_a_gap_is_kept_where_it_is_said_although_there_is_none(
    tmp_path: Path,
) -> None:
    trained = opened(np.array([[1.0], [2], [6]]), tmp_path, options={"missing": "median"})
    known = compatibility_of(trained, "the model")
    assert as_table(np.array([[np.nan], [5]]), "X", known).features.tolist() == [[2], [5]]


def test_options_of_files_are_refused_for_tables_in_memory() -> None:
    with pytest.raises(DataError, match="X: unknown option 'header' of tables in memory, known "):
        as_table(Likeness(a=[1]), "X", options={"header": True})


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
    with pytest.raises(DataError, match=r"column 'a' must hold numbers, .* it holds complex"):
        as_table(Likeness(a=[1j]), "X")
    with pytest.raises(DataError, match="X: row 1: column 'a': inf is not finite"):
        as_table(Likeness(a=[1, np.inf]), "X")


def test_dates_are_asked_about_and_seconds_if_it_is_said() -> None:
    days = {
        "numpy": np.array(["1970-01-02", "NaT"], "datetime64[s]"),
        "texts": np.array(["1970-01-02", None], object),
        "objects": np.array([datetime.date(1970, 1, 2), None], object),
    }
    with pytest.raises(DataError, match=r"column 'when' holds dates or times .*: the opti"):
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


def test_targets_of_a_table_may_be_any_objects(tmp_path: Path) -> None:
    class NAType:
        """As pandas has it."""

        def __eq__(self, other: object) -> bool:
            raise TypeError("boolean value of NA is ambiguous")

        __hash__ = None  # type: ignore[assignment]

        def __repr__(self) -> str:
            return "<NA>"

    gap = np.array(["a", NAType(), "b"], object)
    with pytest.raises(DataError, match="row 1 of the targets is missing, it is <NA>"):
        hand_over(Likeness(x=[1, 2, 3]), gap, tmp_path / "gap", Wanted())
    prices = np.array([Decimal("1.5"), Decimal("2.25"), Decimal(3)], object)
    source = hand_over(Likeness(x=[1, 2, 3]), prices, tmp_path / "prices", Wanted())
    assert open_cached(source, {}, tmp_path / "cache").targets[:].tolist() == [1.5, 2.25, 3.0]
