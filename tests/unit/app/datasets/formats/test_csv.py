"""CSV files: plain loops over the csv module read the same; headers, columns, bad lines."""

from __future__ import annotations

import csv
import math
import time
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distbelief.app.datasets.formats import csv as delimited
from distbelief.app.datasets.formats.registry import open_reader
from distbelief.app.datasets.reading import lines

numbers = st.floats(-1e30, 1e30).map(repr) | st.integers(-999, 10**9).map(str) | st.just("")
texts = st.text("ab ,;\"'\n\té€0", max_size=6)
targets = st.text('ab,"é1', min_size=1, max_size=3)
tables = st.lists(st.tuples(numbers, texts, targets, numbers, texts), min_size=1, max_size=12)
endings = st.sampled_from(["\n", "\r\n"])


def hashed(text: str, buckets: int) -> int:
    return zlib.crc32(text.encode().strip()) % buckets


@given(
    tables,
    st.sampled_from(",;\t "),
    endings,
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    st.integers(1, 90),
)
def test_what_the_csv_module_writes_is_read_in_blocks_of_any_size(
    read: Any, scratch: Path, rows: Any, delimiter: str, end: str, quoting: Any, size: int
) -> None:
    with (scratch / "a.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, delimiter=delimiter, lineterminator=end, quoting=quoting)
        writer.writerows([("n1", "c1", "label", "n2", "c2"), *rows])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "BLOCK_BYTES", size)
        found = read(
            scratch / "a.csv",
            delimiter=delimiter,
            header=True,
            categorical="c1,c2",
            missing=-1,
            buckets=9,
        )
    expected = np.zeros((len(rows), 20), np.float32)
    for row, (first, category, _, last, other) in enumerate(rows):
        expected[row, :2] = [float(first or -1), float(last or -1)]
        expected[row, 2 + hashed(category, 9)] = expected[row, 11 + hashed(other, 9)] = 1
    assert np.array_equal(found.features, expected)
    assert found.targets == [target for _, _, target, _, _ in rows]
    assert found.columns.names == ("n1", "n2", "c1", "c2")
    assert (found.columns.n_features, found.columns.n_dense, found.columns.n_fields) == (20, 2, 2)


@given(
    st.lists(
        st.lists(
            st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=3, max_size=3
        ),
        min_size=1,
    ),
    st.integers(1, 99),
)
def test_numbers_alone_make_dense_features(
    read: Any, scratch: Path, rows: list[list[float]], size: int
) -> None:
    text = "\n".join(f"{a!r},{b!r},{c!r}" for a, b, c in rows)
    (scratch / "b.csv").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "BLOCK_BYTES", size)
        found = read(scratch / "b.csv")
    assert not found.reader.sparse
    assert np.array_equal(found.features, np.array(rows, np.float32)[:, :2])
    assert found.targets == [repr(target) for _, _, target in rows]


# --- which lines are bad

BAD = {
    "1,2": "there are 2 columns, 3 are needed",
    "1,2,3,4": "there are 4 columns, 3 are needed",
    "x,2,3": "column 'a': 'x' is not a number",
    "1,inf,3": "column 'b': inf is not finite",
    "1e39,2,3": "column 'a': 1e+39 does not fit float32, which ends at 3.4e38",
    "1_0,2,3": "column 'a': '1_0' is not a number",
    "1,2,": "the target is missing",
    "1,2, ": "the target is missing",
    "1,2,NaN": "the target is missing, it is 'NaN'",
    "1,2,N/A": "the target is missing, it is 'N/A'",
    "1,2,1e400": "the target inf is not finite",
    "1,2\r3,4": "there is a carriage return within the line",
    "1,\0,3": "there is a NUL byte, this is not text",
    "1,\udcff,3": "this is not UTF-8 text: invalid start byte after 2 bytes",
    '1,"2,3': "a quote is not closed",
    '1,"2"0,3': "text follows a closing quote",
    f"1,\"{'2' * 140_000}\",3": "a field is longer than 131072 characters; is a quote not closed?",
}  # fmt: skip


@pytest.mark.parametrize("line", BAD, ids=BAD.values())
def test_a_bad_line_is_named_with_its_reason(
    read: Any, refuses: Any, tmp_path: Path, line: str
) -> None:
    path = tmp_path / "a.csv"
    content = f"a,b,target\n1,2,3\n\n{line}\n4,5,6\n7,8,9\n"
    path.write_bytes(content.encode(errors="surrogateescape"))
    with refuses(f"{path}: line 4: {BAD[line]}"):
        read(path, categorical="")
    found = read(path, categorical="", bad_lines=1)
    assert [fault.line for fault in found.skipped] == [4]
    assert found.features.tolist() == [[1, 2], [4, 5], [7, 8]]


LATER = {line: reason for line, reason in BAD.items() if reason != "a quote is not closed"}


@pytest.mark.parametrize("line", LATER, ids=LATER.values())
def test_a_bad_line_in_a_later_block_has_its_number_in_the_file(
    read: Any, refuses: Any, tmp_path: Path, line: str, small_blocks: None
) -> None:
    path = tmp_path / "a.csv"
    content = "a,b,target\n" + '1,"2",3\n4,5,6\n' * 9 + f"{line}\n" + "7,8,9\n" * 2
    path.write_bytes(content.encode(errors="surrogateescape"))
    with refuses(f"{path}: line 20: "):
        read(path, categorical="")


def test_bad_lines_are_counted_in_the_order_of_the_file(
    read: Any, refuses: Any, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'a,target\nx,1\n\xff,2\n3,3\n4,"\n5\n6,6\n')
    found = read(path, categorical="", bad_lines=4)
    assert [fault.line for fault in found.skipped] == [2, 3, 5, 6]
    assert found.targets == ["3", "6"]
    with refuses(f"{path}: line 5: a quote is not closed; this is bad line number 3"):
        read(path, categorical="", bad_lines=2)


fields = st.sampled_from(["1", "", "-2.5", "x", "nan", '"3"', '"', "1e99", "a b", " 4", "é"])


@given(st.lists(st.lists(fields, min_size=1, max_size=4).map(",".join), min_size=1, max_size=9))
def test_good_and_bad_lines_are_told_apart_as_by_a_plain_loop(
    read: Any, scratch: Path, text: list[str]
) -> None:
    path = scratch / "c.csv"
    path.write_text("a,b,target\n1,2,3\n" + "\n".join(text) + "\n")
    good: list[Any] = [("1", "2", "3")]
    for line in text:
        if '"' in line.replace('"3"', "") or line == "":
            return  # quotes over line ends have tests of their own
        row = next(csv.reader([line], skipinitialspace=True))
        has_target = len(row) == 3 and row[2] not in ("", "nan", "1e99")
        if has_target and all(fits(field or "0") for field in row[:2]):
            good.append(row)
    found = read(path, categorical="", bad_lines=99, na="", missing=0)
    assert found.targets == [target.strip() for _, _, target in good]
    expected = np.array([[float(a or 0), float(b or 0)] for a, b, _ in good], np.float32)
    assert np.array_equal(found.features, expected)
    assert len(found.skipped) + len(good) == len(text) + 1


def fits(field: str) -> bool:
    try:
        return math.isfinite(float(field)) and abs(float(field)) < 1e38
    except ValueError:
        return False


@given(st.binary(max_size=300) | st.text('1,a\n"\r;é', max_size=60).map(str.encode))
def test_any_bytes_are_examples_or_one_clear_error(
    read_or_refuse: Any, scratch: Path, content: bytes
) -> None:
    path = scratch / "d.csv"
    path.write_bytes(content)
    for header in ("auto", "false", "true"):
        found = read_or_refuse(path, header=header, bad_lines=2, buckets=5, missing=1)
        if found is not None:
            assert np.isfinite(found.features).all()
            assert len(found.targets) == len(found.features)
        read_or_refuse(path, labelled=False, header=header, bad_lines=2, buckets=5, missing=1)


simple = st.sampled_from(["1", "", "x", " 2", "\r3", "3\r"])


@given(
    st.text('1,a\n"\r; .', max_size=60)
    | st.lists(st.lists(simple, max_size=3).map(",".join), max_size=6).map("\n".join)
)
def test_the_fast_way_agrees_with_the_csv_module(scratch: Path, text: str) -> None:
    path = scratch / "e.csv"
    path.write_text("4,5\n" + text, newline="")
    for columns in ({"categorical": ""}, {"categorical": "0"}, {"categorical": "1", "target": 0}):
        options = {"header": False, "bad_lines": 99, "missing": 0, **columns}
        with pytest.MonkeyPatch.context() as patch:
            fast = everything(path, options)
            patch.setattr(delimited, "PlainCells", refuse)
            assert fast == everything(path, options)


def refuse(*_: object) -> None:
    raise ValueError


def everything(path: Path, options: Any) -> Any:
    reader = open_reader(str(path), options)
    chunks: list[Any] = list(reader)
    rows = [chunk.features for chunk in chunks]
    features = [each.indices.tolist() if reader.sparse else each.tolist() for each in rows]
    return features, [chunk.targets.tolist() for chunk in chunks], list(reader.skipped)


def test_a_short_line_and_a_long_one_do_not_make_up_for_each_other(
    read: Any, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text("4,5\n1\n2,3,6\n7,8\n")
    found = read(tmp_path / "a.csv", bad_lines=2)
    assert [fault.line for fault in found.skipped] == [2, 3]
    assert found.targets == ["5", "8"]


def test_a_blank_line_is_no_missing_number(read: Any, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1\n\n2\n")
    assert read(tmp_path / "a.csv", labelled=False).features.tolist() == [[1], [2]]


def test_lines_within_quotes_are_counted(
    read: Any, refuses: Any, tmp_path: Path, tiny_blocks: None
) -> None:
    (tmp_path / "a.csv").write_text('"a\nb",target\n' + '"1\n",2\n' * 9 + "x,3\n")
    with refuses("line 21: column 'a\\nb': 'x' is not a number"):
        read(tmp_path / "a.csv", categorical="")


# --- what the columns are for


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("1,2\n3,4\n", False),
        ("a,target\nb,c\n", True),
        ("x1,x2\n3,4\n", True),
        ("x1,x2\nred,4\n", True),
        (",0,Label\n0,1,2\n", True),
        ("red,1\nblue,2\n", False),
        ("3,4,y\n5,6,n\n5,6,y\n", False),
    ],
)
def test_a_header_is_told_from_data(read: Any, tmp_path: Path, text: str, header: bool) -> None:
    (tmp_path / "a.csv").write_text(text)
    last = text.split("\n", 1)[0].count(",")
    assert len(read(tmp_path / "a.csv", target=last).targets) == text.count("\n") - header


@pytest.mark.parametrize(
    "text", ["red,blue\nred,green\n", "xx,1,2\n3,4,5\n", "y,n\nn,y\nn,n\ny,y\n"]
)
def test_what_may_be_a_header_or_data_has_to_be_said(
    read: Any, refuses: Any, tmp_path: Path, text: str
) -> None:
    (tmp_path / "a.csv").write_text(text)
    with refuses("line 1 may hold names or data: say which with the option header=true or the"):
        read(tmp_path / "a.csv")
    assert len(read(tmp_path / "a.csv", header=False).targets) == text.count("\n")
    assert len(read(tmp_path / "a.csv", header=True, target=0).targets) == text.count("\n") - 1


def test_a_line_that_says_one_thing_twice_is_no_clear_header(
    read: Any, refuses: Any, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text("y,n,y\nn,y,n\n")
    with refuses("line 1 may hold names or data"):
        read(tmp_path / "a.csv")


PASSENGERS = "id,age,sex,Class\n7,22,male,3\n8,,female,1\n9,26.5,,3\n"


def test_columns_of_text_are_hashed_and_stand_behind_the_numbers(read: Any, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(PASSENGERS)
    found = read(tmp_path / "a.csv", ignore="id", buckets=4, missing=0)
    assert found.columns.names == ("age", "sex")
    assert found.targets == ["3", "1", "3"]
    assert found.features[:, 0].tolist() == [22, 0, 26.5]
    assert found.features[:, 1:].argmax(axis=1).tolist() == [
        hashed(text, 4) for text in ("male", "female", "")
    ]
    assert found.features[:, 1:].sum(axis=1).tolist() == [1, 1, 1]


def test_the_hash_is_the_same_on_every_machine_and_in_every_version(
    read: Any, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text('c,target\nred,1\n blue ,2\n"grün",3\n')
    chunk = next(iter(read(tmp_path / "a.csv").reader))
    assert chunk.features.indices.tolist() == [24463, 51892, 45477]


def test_columns_may_be_called_by_position(read: Any, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("5,red,1\n6,blue,2\n")
    found = read(tmp_path / "a.csv", target=0, categorical="1,2", buckets=3)
    assert found.targets == ["5", "6"]
    assert (found.columns.n_dense, found.columns.n_fields, found.columns.names) == (0, 2, ())


def test_a_name_is_preferred_to_a_position_and_may_have_a_comma(read: Any, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('1,0,"a,b",c\n5,6,7,8\n')
    found = read(tmp_path / "a.csv", target=0, ignore='"a,b"', header=True)
    assert found.targets == ["6"]
    assert found.columns.names == ("1", "c")


def test_another_file_is_read_the_same_way_whatever_it_holds(read: Any, tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("a;b;c;y\n1;2;x;3\n")
    (tmp_path / "test.csv").write_text("a;b;c\n1;2;3\n")
    train = read(tmp_path / "train.csv", delimiter=";", ignore="b", buckets=8).reader
    test = read(tmp_path / "test.csv", labelled=False, **train.reading_options)
    assert replace(test.columns, all_names=()) == replace(train.columns, all_names=())
    assert test.reader.sparse


UNCLEAR: dict[str, Any] = {
    "no target": ("a,b\n1,2\n", {}, "no column is called target, label, y or class: say with the "
                  "option target which one holds the targets, the file has 'a', 'b'"),
    "two targets": ("y,class,b\n1,2,3\n", {}, "several columns, 'y' and 'class', are called "
                    "target, label, y or class: say with the option target which one"),
    "unknown": ("age,y\n1,2\n", {"ignore": "aged"}, "option ignore: there is no column 'aged', the "
                "file has 'age', 'y' (did you mean 'age'?)"),
    "beyond": ("1,2\n3,4\n", {"target": 2}, "option target: there is no column '2', the file has "
               "columns 0 to 1, without names"),
    "same name": ("a,a,y\n1,2,3\n", {}, "two columns are called 'a', rename one"),
    "two uses": ("a,b,y\n1,2,3\n", {"ignore": "y"}, "column 'y' can be only one of target"),
    "kept and ignored": ("a,b,y\n1,2,3\n", {"ignore": "a", "keep": "a"}, "column 'a' can be only"),
    "nothing left": ("a,y\n1,2\n", {"ignore": "a"}, "no column is left for features"),
    "one column": ("a:y\n1:2\n", {}, "there is only one column; is the option delimiter right?"),
    "a note in front": ("|a note\n\na,b,y\n1,2,3\n", {}, "line 1 has 1 of the 3 fields that lines "
                        "from 3 on have; if it does not belong to the table, the option skip=2 "),
    "empty": ("", {}, "the file is empty"),
    "blank": ("\n\r\n", {}, "the file is empty"),
    "names alone": ("a,b,y\n", {}, "there are no examples, at least one is needed"),
    "header": ("a\0,b\n1,2\n", {}, "line 1: there is a NUL byte, this is not text"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNCLEAR)
def test_columns_that_make_no_sense_are_refused(
    read: Any, refuses: Any, tmp_path: Path, case: str
) -> None:
    text, options, complaint = UNCLEAR[case]
    (tmp_path / "a.csv").write_text(text)
    with refuses(f"{tmp_path}/a.csv: {complaint}"):
        read(tmp_path / "a.csv", **options)


def test_a_number_column_stays_one_after_the_first_block(
    read: Any, refuses: Any, tmp_path: Path, tiny_blocks: None
) -> None:
    (tmp_path / "a.csv").write_text("a,y\n" + "1,2\n" * 9 + "x,2\n")
    with refuses("line 11: column 'a': 'x' is not a number"):
        read(tmp_path / "a.csv")


def test_files_of_one_source_have_one_header(read: Any, refuses: Any, tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("a,b,y\n1,2,3\n")
    (tmp_path / "2.csv").write_text("a, b ,y\n4,5,6\n")
    (tmp_path / "3.csv").write_text("")
    assert read(tmp_path).features.tolist() == [[1, 2], [4, 5]]
    (tmp_path / "2.csv").write_text("\nb,a,y\n4,5,6\n")
    with refuses(f"{tmp_path}/2.csv: line 2: the names of the columns must be those of the other"):
        read(tmp_path)


def test_tabs_and_byte_order_marks_are_understood(read: Any, tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_bytes(b"\xef\xbb\xbfa\ty\r\n1\t2\r\n")
    found = read(tmp_path / "a.tsv")
    assert found.columns.names == ("a",)
    assert found.targets == ["2"]
    (tmp_path / "a.txt").write_text("a\ty\n1\t2\n")
    assert read(tmp_path / "a.txt", format="csv", delimiter="tab").targets == ["2"]


def test_a_delimiter_may_be_any_character(read: Any, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a§y\n1§2\n")
    assert read(tmp_path / "a.csv", delimiter="§").targets == ["2"]


def test_a_file_of_many_columns_takes_time_for_their_number_alone(tmp_path: Path) -> None:
    """80,000 of them took half a minute, when each was looked for in a list of all."""

    def seconds(n: int) -> float:
        path = tmp_path / f"{n}.csv"
        names = [*(f"c{i}" for i in range(n)), "target"]
        rows = [["ab"[r] if i % 2 else "1" for i in range(n)] + ["7"] for r in range(2)]
        path.write_text("\n".join(",".join(row) for row in (names, *rows)))
        began = time.process_time()
        first = read_only(path)
        again = read_only(path, **first.reading_options)  # which name every column
        assert again.reading_options == first.reading_options
        assert first.columns.n_fields == n // 2
        return time.process_time() - began

    assert min(seconds(8_000) for _ in range(2)) < 8 * min(seconds(2_000) for _ in range(2))


def read_only(path: Path, **options: Any) -> Any:
    reader = open_reader(str(path), options)
    assert sum(len(chunk) for chunk in reader) == 2
    return reader
