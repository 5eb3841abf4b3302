"""What columns are and how their values become features: the same for files and for arrays."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distbelief.app.datasets.cache.opening import open_cached
from distbelief.app.datasets.examples.column import Column, remarks
from distbelief.app.datasets.examples.compatibility import Compatibility
from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.datasets.formats import arrays, csv
from distbelief.app.datasets.reading import lines
from distbelief.app.datasets.reading.use import Use
from distbelief.app.datasets.run_data import compatibility_of
from distbelief.app.datasets.sources.source import Stream, parse
from distbelief.app.datasets.targets.wanted import Wanted
from distbelief.app.errors import DataError

arrow = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

Write = Callable[..., Dataset]


def opened(folder: Path, text: str, **options: Any) -> Dataset:
    (folder / "a.csv").write_text(text)
    return open_cached(str(folder / "a.csv"), options, folder / "cache")


def numbers(data: Dataset) -> Any:
    """The leading features, those that are numbers."""
    if not data.schema.sparse:
        return data.features[:]
    return data.features[np.arange(data.n_examples)].toarray()[:, : data.schema.n_dense]


def kinds(data: Dataset) -> list[str]:
    return [column.kind for column in data.facts.columns]


# --- every format reads the same numbers


def as_csv(folder: Path, table: Any, **options: Any) -> Dataset:
    rows = ["" if np.isnan(x) else repr(float(x)) for x in table.ravel()]
    lines_ = [",".join(rows[i : i + 2]) + f",{i % 3}" for i in range(0, len(rows), 2)]
    return opened(folder, "a,b,y\n" + "\n".join(lines_), **options)


def as_parquet(folder: Path, table: Any, **options: Any) -> Dataset:
    columns = {"a": table[:, 0], "b": table[:, 1], "y": np.arange(len(table)) % 3}
    pq.write_table(arrow.table(columns), folder / "a.parquet")
    return open_cached(str(folder / "a.parquet"), options, folder / "cache")


def as_npy(folder: Path, table: Any, **options: Any) -> Dataset:
    np.save(folder / "x.npy", table)
    np.save(folder / "y.npy", np.arange(len(table)) % 3)
    return open_cached(str(folder / "x.npy"), options, folder / "cache")


def as_npz(folder: Path, table: Any, **options: Any) -> Dataset:
    np.savez(folder / "a.npz", x=table, y=np.arange(len(table)) % 3)
    return open_cached(str(folder / "a.npz"), options, folder / "cache")


def as_arrays(folder: Path, table: Any, **options: Any) -> Dataset:
    targets = np.arange(len(table)) % 3
    source = arrays.hand_over(table, targets, folder / "handed", Wanted(), options=options)
    return open_cached(source, {}, folder / "cache")


ways = pytest.mark.parametrize("way", [as_csv, as_parquet, as_npy, as_npz, as_arrays])

GAPS = np.array([[1, np.nan], [2, 5], [np.nan, 7], [6, 9], [9, -1]])

FILLED: list[tuple[dict[str, Any], list[list[float]]]] = [
    ({}, [[1, 5], [2, 5], [4.5, 7], [6, 9], [9, -1]]),
    ({"missing": "median"}, [[1, 6], [2, 5], [4, 7], [6, 9], [9, -1]]),
    ({"missing": -3}, [[1, -3], [2, 5], [-3, 7], [6, 9], [9, -1]]),
    ({"missing": 0, "indicator": True},
     [[1, 0, 0, 1], [2, 5, 0, 0], [0, 7, 1, 0], [6, 9, 0, 0], [9, -1, 0, 0]]),
    ({"na": "9,nan"}, [[1, 11 / 3], [2, 5], [3, 7], [6, 11 / 3], [3, -1]]),
]  # fmt: skip


@ways
@pytest.mark.parametrize(("options", "expected"), FILLED)
def test_a_missing_number_is_filled_in_as_the_option_says(
    way: Write, tmp_path: Path, options: Any, expected: Any
) -> None:
    data = way(tmp_path, GAPS, **options)
    assert np.array_equal(numbers(data), np.array(expected, np.float32))
    statistics = data.facts.statistics
    assert statistics is not None
    np.testing.assert_allclose(statistics.mean, numbers(data).mean(axis=0), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(statistics.spread, numbers(data).std(axis=0), rtol=1e-6)


@ways
def test_how_many_are_missing_is_told(way: Write, tmp_path: Path) -> None:
    data = way(tmp_path, GAPS)
    told = remarks(data.facts.columns, data.n_examples)
    assert [line.partition(": ")[2] for line in told] == [
        "1 of 5 values are missing, 4.5 stands for them",
        "1 of 5 values are missing, 5 stands for them",
    ]


@ways
def test_a_missing_number_may_be_an_error(way: Write, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the value is missing|must be finite, row 0, column 1"):
        way(tmp_path, GAPS, missing="error")


DAY = np.random.default_rng(0).integers(0, 86_400_000, 300)
MOMENTS = np.stack([1.7e12 + DAY, DAY / 7], axis=1)


@ways
def test_large_numbers_that_differ_by_little_are_centred_before_they_are_rounded(
    way: Write, tmp_path: Path
) -> None:
    data = way(tmp_path, MOMENTS)
    time, plain = [column for column in data.facts.columns if column.is_number]
    assert abs(time.origin - MOMENTS[:, 0].mean()) < 1e6
    assert plain.origin == 0
    expected = np.stack([MOMENTS[:, 0] - time.origin, MOMENTS[:, 1]], axis=1).astype(np.float32)
    assert np.array_equal(numbers(data), expected)


@ways
@pytest.mark.parametrize("value", [0.1, 1.7e12 + 1, 0.0])
def test_a_column_of_one_value_and_whole_numbers_stay_as_they_are(
    way: Write, tmp_path: Path, value: float
) -> None:
    table = np.stack([np.full(9, value), 2.0**24 - np.arange(9)], axis=1)
    data = way(tmp_path, table)
    assert np.array_equal(numbers(data), table.astype(np.float32))


@ways
def test_other_data_are_filled_and_centred_as_those_of_the_training(
    way: Write, tmp_path: Path
) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    table = MOMENTS.copy()
    table[0, 1] = np.nan
    train = way(tmp_path / "1", table, indicator=True)
    known = compatibility_of(train, "the training data")
    other = table[:6] + np.array([5e9, 0])
    source = {
        as_csv: "a.csv", as_parquet: "a.parquet", as_npy: "x.npy", as_npz: "a.npz"
    }.get(way)  # fmt: skip
    if source is None:
        found = arrays.as_table(other, "X", known).features
    else:
        way(tmp_path / "2", other)
        path = str(tmp_path / "2" / source)
        found = numbers(open_cached(path, {}, tmp_path / "c", compatibility=known))
    shift = np.array([5e9, 0, 0])
    assert found.shape == (6, 3)
    np.testing.assert_allclose(found, numbers(train)[:6] + shift, rtol=1e-6)


# --- words and notations of text


@pytest.mark.parametrize("word", ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?", "-"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_the_usual_words_are_missing_values(tmp_path: Path, word: str, quote: str) -> None:
    text = f"a,c,y\n1,red,0\n{quote}{word}{quote}, {word},1\n3,red,0\n"
    data = opened(tmp_path, text, buckets=8)
    assert numbers(data).ravel().tolist() == [1, 2, 3]
    assert [column.missing for column in data.facts.columns] == [1, 1, 0]
    empty = opened(tmp_path, text.replace(f" {word}", ""), buckets=8)
    assert (data.features[1:2] != empty.features[1:2]).nnz == 0


def test_other_words_are_missing_if_they_are_said(tmp_path: Path) -> None:
    text = "a,y\n1,0\n-99,1\n3,0\n-99.0,1\nx,1\n"
    data = opened(tmp_path, text, na="x,-99")
    assert numbers(data).ravel().tolist() == [1, 2, 3, 2, 2]


NOTATIONS = [
    ("1,5;-2,25;1.234,5", {"decimal": ",", "thousands": "."}, [1.5, -2.25, 1234.5]),
    ("1,5;-2,25;1234,5", {"decimal": ","}, [1.5, -2.25, 1234.5]),
    ("1,234.5;12;1,234,567", {"thousands": ","}, [1234.5, 12, 1234567]),
    ("1 234;12,5;-1 000 000", {"thousands": " ", "decimal": ","}, [1234, 12.5, -1e6]),
]


@pytest.mark.parametrize(("written", "options", "expected"), NOTATIONS)
@pytest.mark.parametrize("quote", ["", '"'])
def test_numbers_of_other_countries_are_read_if_it_is_said(
    tmp_path: Path, written: str, options: Any, expected: list[float], quote: str
) -> None:
    rows = "".join(f"{quote}{x}{quote};{x}\n" for x in written.split(";"))
    data = opened(tmp_path, f"a;y\n{rows}", delimiter=";", task="regression", **options)
    assert numbers(data).ravel().tolist() == expected
    assert data.targets[:].tolist() == expected


@pytest.mark.parametrize("text", ["1.5", "1.23", "12.3456", "1,2,3", ".123"])
def test_digits_in_no_groups_of_three_are_no_number(tmp_path: Path, text: str) -> None:
    rows = "1,5;1\n" * 20
    with pytest.raises(DataError, match=rf"line 22: column 'a': '{text}' is not a number"):
        opened(tmp_path, f"a;y\n{rows}{text};1", delimiter=";", decimal=",", thousands=".")


MIXED = "zip,town,code,y\n" + "".join(
    f"{z},{t},{c},1\n" for z, t, c in (("1", "a", "7"), ("1", "b", "x"), ("2", "a", "8"))
)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["numeric", "categorical", "categorical"]),
        ({"categorical": "zip"}, ["categorical", "categorical", "categorical"]),
        ({"numeric": "code", "na": "x"}, ["numeric", "categorical", "numeric"]),
        ({"categorical": "town", "numeric": "*", "na": "x"}, ["numeric", "categorical", "numeric"]),
        ({"categorical": "", "na": "x,a,b"}, ["numeric", "numeric", "numeric"]),
    ],
)
def test_options_say_of_some_columns_what_they_are(
    tmp_path: Path, options: dict[str, Any], expected: list[str]
) -> None:
    data = opened(tmp_path, MIXED, buckets=4, **options)
    assert kinds(data) == [*expected, "target"]
    table = arrow.table({"zip": [1, 1, 2], "town": ["a", "b", "a"], "code": ["7", "x", "8"]})
    found = arrays.as_table(table, "X", options={"buckets": 4, **options})
    assert [column.kind for column in found.table] == expected


def test_a_number_that_is_none_is_named_where_an_option_says_that_they_are(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 3: column 'code': 'x' is not a number \(the opt"):
        opened(tmp_path, MIXED, numeric="code")
    with pytest.raises(DataError, match="'code' can be only one of target, weight, ignored, "):
        opened(tmp_path, MIXED, numeric="code", categorical="code")


def test_units_are_passed_over_and_remembered(tmp_path: Path) -> None:
    text = "price;share;y\n$1,200.50;12 %;€5\n$7;0.5%;€6\n-$8;;€7.25\n"
    options = {"delimiter": ";", "units": "$ % €", "thousands": ",", "task": "regression"}
    data = opened(tmp_path, text.replace("-$", "$-"), **options)
    assert numbers(data).tolist() == [[1200.5, 12], [7, 0.5], [-8, 6.25]]
    assert data.targets[:].tolist() == [5, 6, 7.25]
    assert data.facts.reading["units"] == "$%€"
    with pytest.raises(DataError, match="option units must be characters that are no letters, "):
        opened(tmp_path, text, units="kg")


def test_truth_values_are_numbers_wherever_they_stand(tmp_path: Path, tiny_blocks: None) -> None:
    truths = ["True", "false", "TRUE", ""] * 10
    rows = [f"{truth},{x % 3}\n" for x, truth in enumerate(truths)]
    data = opened(tmp_path, "a,y\n" + "".join(rows), missing=0.5)
    assert numbers(data)[:, 0].tolist() == [1, 0, 1, 0.5] * 10
    known = compatibility_of(data, "the model")
    other = arrays.as_table(arrow.table({"a": [True, None]}), "X", known)
    assert other.features.tolist() == [[1], [0.5]]
    # Late ones make numbers of a column that began with other words, and the other way round.
    words = ["maybe,1\n"] * 3 + ["True,0\n"] * 37
    with pytest.raises(DataError, match="line 2: column 'a': 'maybe' is not a number, as nearly"):
        opened(tmp_path, "a,y\n" + "".join(words))
    words = ["True,0\n"] * 20 + ["maybe,1\n"] * 20
    assert kinds(opened(tmp_path, "a,y\n" + "".join(words)))[0] == "categorical"


def test_a_number_that_is_missing_is_no_truth_value(tmp_path: Path) -> None:
    data = opened(tmp_path, "a,y\nTrue,1\n5,0\n", na="True", missing=7)
    assert numbers(data).tolist() == [[7], [5]]


def test_all_columns_of_dates_are_named_at_once(tmp_path: Path) -> None:
    rows = "".join(f"2020-01-0{i},{i},2021-01-0{i},2\n" for i in range(1, 9))
    with pytest.raises(DataError, match=r"column 'from' holds dates .*: the option dates=from,to "):
        opened(tmp_path, f"from,x,to,y\n{rows}")


def test_of_targets_in_another_writing_only_the_writing_is_advised(tmp_path: Path) -> None:
    rows = "".join(f"{i};${i}\n" for i in range(30))
    with pytest.raises(
        DataError, match=r"column 'y' .*: with the option units='\$' they are read$"
    ):
        opened(tmp_path, f"a;y\n{rows}", delimiter=";")


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        ("1,5", "with the option decimal=, they are read"),
        ("1.234,5", r"with the option thousands=\. and the option decimal=, they are read"),
        ("1,234", r"with the option thousands=, \(or the option decimal=,\) they are read"),
        ("$12.50", r"with the option units='\$' they are read"),
        ("45%", "with the option units=% they are read"),
        ("$1,234.50", r"with the option units='\$' and the option thousands=, they are read"),
    ],
)
def test_numbers_in_another_writing_are_never_taken_for_categories(
    tmp_path: Path, value: str, advice: str
) -> None:
    with pytest.raises(
        DataError,
        match=f"column 'a' holds numbers in another writing, such as .*: {advice}, the option cat",
    ):
        opened(tmp_path, f"a;y\n{value};1\n{value};0\n", delimiter=";")
    rows = "".join(f"{i};{i},5\n" for i in range(30))
    with pytest.raises(DataError, match="column 'y' holds numbers in another writing"):
        opened(tmp_path, f"a;y\n{rows}", delimiter=";")


# --- dates

DATES = ["1970-01-02", "1970-01-01 00:01:00", "1970-01-01T01:00:00+01:00", "00:02", ""]


def test_dates_are_seconds_if_it_is_said(tmp_path: Path) -> None:
    text = "d,x,y\n" + "".join(f"{date},{i % 2},{i}\n" for i, date in enumerate(DATES))
    data = opened(tmp_path, text, dates="d", missing=-1)
    assert numbers(data)[:, 0].tolist() == [86400, 60, 0, 120, -1]
    assert kinds(data) == ["date", "numeric", "target"]


def test_dates_may_be_written_otherwise(tmp_path: Path) -> None:
    options = {"dates": "d", "date_format": "%d.%m.%Y %H:%M"}
    data = opened(tmp_path, "d,y\n02.01.1970 00:00,1\n01.02.1970 00:01,0\n", **options)
    assert numbers(data).ravel().tolist() == [86400, 31 * 86400 + 60]
    with pytest.raises(DataError, match=r"'1970-01-02' is no date of the format %d\.%m\.%Y"):
        opened(tmp_path, "d,y\n02.01.1970 00:00,1\n1970-01-02,0\n", **options)


def test_dates_of_parquet_are_those_of_csv(tmp_path: Path) -> None:
    moments = np.array(["1970-01-02", "2024-05-31T17:30:00", "NaT"], "datetime64[ms]")
    columns: dict[str, Any] = {"t": moments, "d": moments.astype("datetime64[D]"), "y": [0, 1, 0]}
    pq.write_table(arrow.table(columns), tmp_path / "a.parquet")
    data = open_cached(str(tmp_path / "a.parquet"), {"dates": "t,d", "missing": 0}, tmp_path / "c")
    expected = [[86400, 86400], [1717176600, 1717113600], [0, 0]]
    assert np.array_equal(numbers(data), np.array(expected, np.float32))


@pytest.mark.parametrize(
    "date", ["2024-05-31", "2024-05-31 17:30", "17:30", "31/05/2024", "5-May-99"]
)
def test_dates_are_asked_about(tmp_path: Path, date: str) -> None:
    with pytest.raises(DataError, match=r"column 'd' holds dates or times such as .*dates=d"):
        opened(tmp_path, f"d,y\n{date},1\n{date},0\n")
    assert kinds(opened(tmp_path, f"d,y\n{date},1\n", categorical="d")) == ["categorical", "target"]


# --- the order of rows changes nothing


@given(
    st.integers(0, 30), st.integers(0, 5), st.integers(0, 3), st.randoms(use_true_random=False),
    st.integers(20, 200),
)  # fmt: skip
def test_the_order_of_rows_and_the_size_of_blocks_change_no_type(
    tmp_path_factory: pytest.TempPathFactory,
    n_numbers: int,
    n_texts: int,
    n_dates: int,
    order: random.Random,
    size: int,
) -> None:
    values = [*map(str, range(n_numbers)), *["red"] * n_texts, *["2020-01-01"] * n_dates]
    found = set()
    for _ in range(3):
        order.shuffle(values)
        folder = tmp_path_factory.mktemp("a")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lines, "BLOCK_BYTES", size)
            found.add(outcome(folder, "".join(f"{value},{len(value) % 2}\n" for value in values)))
    assert len(found) == 1


def outcome(folder: Path, rows: str) -> str:
    try:
        return str(kinds(opened(folder, f"a,y\n0,1\n{rows}")))
    except DataError as error:
        return str(error).partition(": ")[2].partition("holds")[2] or "not a number"


def test_an_exception_is_named_wherever_it_is(tmp_path: Path, tiny_blocks: None) -> None:
    for line in (2, 11, 31):
        values = [str(i) for i in range(30)]
        values.insert(line - 2, "oops")
        text = "a,c,y\n" + "".join(f"{value},red,1\n" for value in values)
        with pytest.raises(DataError) as raised:
            opened(tmp_path, text)
        assert str(raised.value) == (
            f"{tmp_path}/a.csv: line {line}: column 'a': 'oops' is not a number, as nearly all of "
            "its values are; the option na says what is a missing value, the option categorical=a "
            "takes each value as a category (the option bad_lines=N skips up to N bad lines)"
        )
        assert opened(tmp_path, text, bad_lines=1).n_examples == 30


def test_text_that_comes_late_makes_categories(tmp_path: Path, tiny_blocks: None) -> None:
    text = "a,y\n" + "7,1\n" * 20 + "red,0\nblue,0\n" * 9
    data = opened(tmp_path, text)
    assert kinds(data) == ["categorical", "target"]
    assert data.n_examples == 38
    assert "20 of its 38 values are numbers" in remarks(data.facts.columns, 38)[0]


# --- columns that nobody wants


def counted(first: str, rows: int = 12) -> str:
    return f"{first},x,y\n" + "".join(f"{i},{i % 5},{i % 2}\n" for i in range(rows))


@pytest.mark.parametrize("tiny", [False, True])
@pytest.mark.parametrize(
    ("text", "left_out"),
    [
        (counted(""), True),
        (counted("Unnamed: 0"), True),
        (counted("id"), True),
        (counted("PassengerId"), True),
        (counted("time"), False),
        (counted("").replace("11,", "12,"), False),
        (counted("name").replace("\n", "\nn"), True),
    ],
)
def test_what_tells_rows_apart_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, left_out: bool, tiny: bool
) -> None:
    if tiny:
        monkeypatch.setattr(lines, "BLOCK_BYTES", 16)
    text = text.rstrip("n")
    data = opened(tmp_path, text)
    assert (kinds(data)[0] == "ignored") == left_out
    if left_out:
        name = data.facts.columns[0].name
        assert f"column {name!r} is left out: it " in remarks(data.facts.columns, 12)[0]
        assert kinds(opened(tmp_path, text, keep=name))[0] != "ignored"


def test_a_value_that_comes_twice_at_last_is_seen(tmp_path: Path, small_blocks: None) -> None:
    text = "name,x,y\n" + "".join(f"n{i},{i % 3},{i % 2}\n" for i in range(50))
    assert kinds(opened(tmp_path, text))[0] == "ignored"
    assert kinds(opened(tmp_path, text + "n0,1,0\n"))[0] == "categorical"


def test_the_last_column_of_features_stays(tmp_path: Path) -> None:
    text = "id,y\n" + "".join(f"{i},{i % 2}\n" for i in range(20))
    assert kinds(opened(tmp_path, text)) == ["numeric", "target"]


def test_an_index_of_pandas_is_left_out_of_parquet(tmp_path: Path) -> None:
    n = np.arange(20)
    columns = {"a": n % 3, "c": [f"c{i}" for i in n], "key": n, "__index_level_0__": n, "y": n % 2}
    pq.write_table(arrow.table(columns), tmp_path / "a.parquet")
    data = open_cached(str(tmp_path / "a.parquet"), {}, tmp_path / "c")
    assert kinds(data) == ["numeric", "ignored", "ignored", "ignored", "target"]
    kept = open_cached(str(tmp_path / "a.parquet"), {"keep": "*"}, tmp_path / "c")
    assert kinds(kept) == ["numeric", "categorical", "numeric", "numeric", "target"]


def test_columns_without_names_are_usable(tmp_path: Path) -> None:
    data = opened(tmp_path, ",,y\n5,6,0\n7,8,1\n", header=True)
    assert data.facts.names == ("Unnamed: 0", "Unnamed: 1")
    found = opened(tmp_path, ",,y\n5,6,0\n7,8,1\n", header=True, ignore=1)
    assert numbers(found).ravel().tolist() == [5, 7]


def test_another_file_leaves_out_what_the_training_left_out(tmp_path: Path) -> None:
    train = opened(tmp_path, counted(""))
    (tmp_path / "b.csv").write_text(",x,y\n7,1,1\n9,3,0\n")
    source = parse(str(tmp_path / "b.csv"))
    assert isinstance(source, Stream)
    known = compatibility_of(train, "the training data")
    options = source.completed({}, known)
    (chunk,) = source.open_reader(options, use=Use(labelled=False, known=known))
    assert np.asarray(chunk.features).tolist() == [[1], [3]]


def test_what_is_known_of_the_columns_is_not_looked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "BLOCK_BYTES", 100)
    train = opened(tmp_path, counted("", 200))
    source = parse(str(tmp_path / "a.csv"))
    assert isinstance(source, Stream)
    known = compatibility_of(train, "the training data")
    options = source.completed({}, known)
    read = csv.CsvReader._check_header
    passes: list[str] = []

    def check(reader: Any, found: Any, file: Any) -> bool:
        passes.append(file.name)
        return read(reader, found, file)

    monkeypatch.setattr(csv.CsvReader, "_check_header", check)
    chunks = list(source.open_reader(options, use=Use(labelled=False, known=known)))
    assert sum(map(len, chunks)) == 200
    assert len(passes) == 1


def test_models_from_before_these_options_read_as_they_did(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,a,y\n1,,1\n2,4,0\n")
    source = parse(str(tmp_path / "a.csv"))
    assert isinstance(source, Stream)
    before: dict[str, Any] = {
        "categorical": "",
        "ignore": "",
        "missing": 0.0,
        "buckets": 4,
        "target": "y",
    }
    known = Compatibility(Schema(2), "the model", before)
    options = source.completed({}, known)
    (chunk,) = source.open_reader(options, use=Use(labelled=False, known=known))
    assert np.asarray(chunk.features).tolist() == [[1, 0], [2, 4]]
    known = Compatibility(Schema(2), "the model", {**before, "header": False, "target": "2"})
    (tmp_path / "a.csv").write_text("1,x,1\n2,4,0\n")
    with pytest.raises(DataError, match="column 1: 'x' is not a number"):
        list(source.open_reader(source.completed({}, known), use=Use(labelled=False, known=known)))


# --- headers of numbers

HEADERS = [
    ("0,1,2,3\n.5,2,3,1\n.7,5,6,0\n", 2),
    ("1,2,3,4\n.5,2,3,1\n.7,5,6,0\n", 2),
    (",0,1\n0,.5,1\n1,.25,0\n", 2),
    ("0,1\n5,1\n7,0\n", 3),
    ("3,1,2,0\n5,1,1,0\n", 2),
]


@pytest.mark.parametrize(("text", "n_examples"), HEADERS)
def test_a_header_that_counts_the_columns_is_recognised(
    tmp_path: Path, text: str, n_examples: int
) -> None:
    last = text.partition("\n")[0].count(",")
    assert opened(tmp_path, text, target=last).n_examples == n_examples


@pytest.mark.parametrize("text", ["0,1,2\n5,6,1\n", "2001,2002,2003,2004\n.5,.6,.7,1\n"])
def test_a_header_that_may_be_data_is_asked_about(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match="line 1 may hold names or data"):
        opened(tmp_path, text, target=0)
    assert opened(tmp_path, text, target=0, header=False).n_examples == 2


# --- documents


@given(
    st.builds(
        Column,
        st.sampled_from(["numeric", "date"]),
        st.text(max_size=3),
        st.floats(allow_nan=False),
        st.none() | st.floats(allow_nan=False, allow_infinity=False),
        st.booleans(),
        st.integers(0, 9),
    )
)
def test_a_column_is_what_its_document_says(column: Column) -> None:
    document = column.to_json()
    assert Column.from_json({**document, "of a later version": 1}) == column


def test_what_is_as_by_default_is_in_no_document() -> None:
    columns: Sequence[Column] = [Column("numeric"), Column("target", "y")]
    assert [column.to_json() for column in columns] == [
        {"kind": "numeric"},
        {"kind": "target", "name": "y"},
    ]
