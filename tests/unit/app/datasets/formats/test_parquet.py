"""Parquet files: the same as CSV files of the same columns; types, missing values, damage."""

from __future__ import annotations

import datetime
import decimal
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distbelief.app.datasets.formats import parquet

arrow = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
to_csv = pytest.importorskip("pyarrow.csv")

rows = st.fixed_dictionaries(
    {
        "n": st.none() | st.floats(-1e30, 1e30),
        "c": st.none() | st.text("ab ,é\n", max_size=4),
        "w": st.none() | st.integers(-(2**40), 2**40),
        "label": st.text("ab,é", min_size=1, max_size=4),
    }
)
SCHEMA = [("n", "float64"), ("c", "string"), ("w", "int64"), ("label", "string")]


def table(examples: list[dict[str, Any]], schema: Any = SCHEMA) -> Any:
    return arrow.Table.from_pylist(examples, schema=arrow.schema(schema))


@given(st.lists(rows, min_size=1, max_size=12), st.integers(1, 60), st.booleans())
def test_the_same_table_as_csv_gives_the_same(
    read: Any, scratch: Path, examples: Any, numbers: int, categorical: bool
) -> None:
    written = table(examples)
    to_csv.write_csv(written, scratch / "a.csv")
    pq.write_table(written, scratch / "a.parquet", row_group_size=5)
    options = {"categorical": "c,w" if categorical else "c", "missing": 2, "buckets": 7}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet, "CHUNK_NUMBERS", numbers)
        found = read(scratch / "a.parquet", **options)
    expected = read(scratch / "a.csv", header=True, **options)
    assert np.array_equal(found.features, expected.features)
    assert found.targets == expected.targets == [row["label"] for row in examples]
    assert found.columns == expected.columns


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("float16", [np.float16(0.5)], [0.5]),
        ("uint64", [2**63], [2.0**63]),
        ("bool", [True, False, None], [1, 0, 9]),
        ("decimal128(6, 2)", [decimal.Decimal("12.25"), None], [12.25, 9]),
        ("int8", [None, None], [9, 9]),
    ],
)
def test_all_kinds_of_numbers_are_numbers(
    read: Any, tmp_path: Path, kind: str, values: list[Any], expected: list[float]
) -> None:
    dtype = arrow.decimal128(6, 2) if "decimal" in kind else kind
    column = arrow.array(values, dtype)
    pq.write_table(arrow.table({"a": column, "y": list(range(len(values)))}), tmp_path / "a.pq")
    found = read(tmp_path / "a.pq", missing=9)
    assert found.features[:, 0].tolist() == expected
    assert found.targets == list(range(len(values)))


@pytest.mark.parametrize("kind", ["large_string", "string", "dictionary"])
def test_all_kinds_of_text_are_categories(read: Any, tmp_path: Path, kind: str) -> None:
    column = arrow.array(["red", None, "red"])
    column = column.dictionary_encode() if kind == "dictionary" else column.cast(kind)
    pq.write_table(arrow.table({"c": column, "y": [0.5, 1, 2]}), tmp_path / "a.parquet")
    found = read(tmp_path / "a.parquet", buckets=4)
    assert found.reader.sparse
    assert found.features.argmax(axis=1).tolist() == [3, 0, 3]
    assert found.targets == [0.5, 1, 2]


@pytest.mark.parametrize(
    ("column", "values", "reason"),
    [
        ("n", [0, -np.inf], "column 'n': -inf is not finite"),
        ("n", [0, 1e39], "column 'n': 1e+39 does not fit float32, which ends at 3.4e38"),
        ("y", [0, None], "the target is missing"),
        ("y", [0, np.inf], "the target inf is not finite"),
        ("y", ["a", " "], "the target is missing"),
        ("y", ["a", "nan"], "the target is missing, it is 'nan'"),
        ("y", ["a", None], "the target is missing"),
        ("y", [True, None], "the target is missing"),
    ],
)
def test_a_bad_row_is_named_with_its_reason(
    read: Any, refuses: Any, tmp_path: Path, column: str, values: list[Any], reason: str
) -> None:
    columns = {"n": [1, 2, 3], "c": ["a", "b", "c"], "y": [1, 0, 1], column: [*values, values[0]]}
    path = tmp_path / "a.parquet"
    pq.write_table(arrow.table(columns), path)
    with refuses(f"{path}: row 1: {reason} (the option bad_lines=N skips up to N bad rows)"):
        read(path)
    found = read(path, bad_lines=1, buckets=9)
    assert [(fault.line, fault.unit) for fault in found.skipped] == [(1, "row")]
    categories = found.features[:, 1:].argmax(axis=1).tolist()
    assert categories == [zlib.crc32(b"a") % 9, zlib.crc32(b"c") % 9]
    assert len(found.targets) == 2


def test_text_that_is_not_utf_8_is_a_bad_row(read: Any, refuses: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    text = arrow.array([b"a", b"\xff", None], "binary")
    broken = arrow.StringArray.from_buffers(3, *text.buffers()[1:], text.buffers()[0])
    for columns, reason in (
        ({"c": broken, "y": [1, 2, 3]}, "column 'c': the text is not UTF-8"),
        ({"n": [1, 2, 3], "y": broken}, "the target is not UTF-8"),
    ):
        pq.write_table(arrow.table(columns), path)
        with refuses(f"{path}: row 1: {reason}"):
            read(path)


UNUSABLE = {
    "date": ({"d": [datetime.date(2020, 1, 1)], "y": [1]}, {}, "column 'd' holds dates or times: "
             "the option dates=d reads them as seconds since 1970"),
    "list": ({"d": [[1]], "y": [1]}, {}, "column 'd' holds list<"),
    "float": ({"d": [1.5], "y": [1]}, {"categorical": "d"}, "column 'd' holds numbers, here it "
              "must be text or whole numbers"),
    "target": ({"d": [1.5], "y": [[1]]}, {}, "column 'y' holds list<"),
    "no target": ({"d": [1.5]}, {}, "no column is called target, label, y or class"),
    "no rows": ({"d": [], "y": []}, {"ignore": "y", "target": "d"}, "no column is left"),
    "empty": ({"d": arrow.array([], "int8"), "y": arrow.array([], "int8")}, {}, "there are no ex"),
    "too large": ({"d": [1], "y": arrow.array([2**63], "uint64")}, {}, "this is no Parquet file"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNUSABLE)
def test_columns_that_make_no_sense_are_refused(
    read: Any, refuses: Any, tmp_path: Path, case: str
) -> None:
    columns, options, complaint = UNUSABLE[case]
    pq.write_table(arrow.table(columns), tmp_path / "a.parquet")
    with refuses(f"{tmp_path}/a.parquet: {complaint}"):
        read(tmp_path / "a.parquet", **options)


def test_two_columns_of_one_name_are_refused(read: Any, refuses: Any, tmp_path: Path) -> None:
    twice = arrow.Table.from_arrays([arrow.array([1])] * 3, names=["a", "a", "y"])
    pq.write_table(twice, tmp_path / "a.parquet")
    with refuses("a.parquet: two columns are called 'a', rename one"):
        read(tmp_path / "a.parquet")


def test_files_of_one_source_have_the_same_columns(read: Any, refuses: Any, tmp_path: Path) -> None:
    pq.write_table(arrow.table({"a": [1], "y": [1]}), tmp_path / "1.parquet")
    pq.write_table(arrow.table({"a": [2], "y": [1]}), tmp_path / "2.parquet")
    assert read(tmp_path).features.tolist() == [[1], [2]]
    pq.write_table(arrow.table({"a": ["2"], "y": [1]}), tmp_path / "2.parquet")
    with refuses("1.parquet, which has 'a' (whole numbers), not 'a' (text)"):
        read(tmp_path)
    pq.write_table(arrow.table({"a": [2]}), tmp_path / "2.parquet")
    with refuses("1.parquet, which has 'y' (whole numbers), not no more columns"):
        read(tmp_path)


def test_a_file_cut_anywhere_is_refused(read: Any, refuses: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(arrow.table({"a": [1.5, 2.5], "y": ["a", "b"]}), path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 3):
        path.write_bytes(whole[:length])
        with refuses(f"{path}: this is no Parquet file, or it is damaged or cut short"):
            read(path)


def test_a_damaged_byte_among_the_values_is_noticed(read_or_refuse: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    written = arrow.table({"a": [1.5, 2.5], "y": ["a", "b"]})
    pq.write_table(written, path, write_page_checksum=True, compression="none")
    whole = path.read_bytes()
    for position in range(len(whole) // 4):
        damaged = bytearray(whole)
        damaged[position] ^= 0x55
        path.write_bytes(damaged)
        found = read_or_refuse(path)
        assert found is None or found.features.tolist() == [[1.5], [2.5]]


def test_progress_ends_with_all_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from distbelief.app.datasets.formats.registry import open_reader

    monkeypatch.setattr(parquet, "CHUNK_NUMBERS", 20)
    path = tmp_path / "a.parquet"
    pq.write_table(arrow.table({"a": range(100), "y": range(100)}), path)
    seen: list[tuple[int, int]] = []
    assert len(list(open_reader(str(path), {}, lambda *news: seen.append(news)))) == 10
    assert seen[-1] == (path.stat().st_size,) * 2
