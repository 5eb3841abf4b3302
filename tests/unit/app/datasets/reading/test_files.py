"""Where files lie: paths, folders, patterns, URLs, gzip; and progress over all of them."""

from __future__ import annotations

import gzip
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from distbelief.app.datasets.formats.options import KNOWN
from distbelief.app.datasets.formats.registry import open_reader
from distbelief.app.datasets.reading import lines
from distbelief.app.datasets.reading.access import PROTOCOLS_VARIABLE
from distbelief.app.errors import DataError

fsspec = pytest.importorskip("fsspec")

TEXT = b"a,y\n1,2\n3,4\n"
FEATURES = [[1], [3]]


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv(PROTOCOLS_VARIABLE, "file,memory")
    files = fsspec.filesystem("memory")
    files.store.clear()
    yield files
    files.store.clear()


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "A.CSV.GZ"])
def test_files_may_be_gzipped(read: Any, tmp_path: Path, name: str) -> None:
    packed = name.lower().endswith(".gz")
    (tmp_path / name).write_bytes(gzip.compress(TEXT) if packed else TEXT)
    assert read(tmp_path / name).features.tolist() == FEATURES


def test_a_gzip_file_may_have_members(read: Any, tmp_path: Path, tiny_blocks: None) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(TEXT[:6]) + gzip.compress(TEXT[6:]))
    assert read(tmp_path / "a.csv.gz").features.tolist() == FEATURES


@pytest.mark.parametrize("name", ["a.csv.gz", "a.libsvm.gz"])
def test_a_gzip_file_cut_anywhere_is_refused(read: Any, tmp_path: Path, name: str) -> None:
    text = TEXT if "csv" in name else b"1 1:2\n2 2:3\n"
    whole = gzip.compress(text)
    for length in range(len(whole)):
        (tmp_path / name).write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"cut short|is empty|no examples|gzip") as raised:
            read(tmp_path / name)
        assert str(raised.value).startswith(f"{tmp_path}/{name}: ")


def test_a_gzip_file_with_a_damaged_byte_is_refused_or_harmless(
    read_or_refuse: Any, tmp_path: Path
) -> None:
    whole = gzip.compress(TEXT)
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0x55
        (tmp_path / "a.csv.gz").write_bytes(damaged)
        found = read_or_refuse(tmp_path / "a.csv.gz")
        assert found is None or found.features.tolist() == FEATURES


def test_what_is_not_gzip_is_refused(read: Any, refuses: Any, tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(TEXT)
    with refuses("a.csv.gz: this is no gzip file, or it is damaged (Not a gzipped file"):
        read(tmp_path / "a.csv.gz")


def parts(folder: Path, *names: str) -> None:
    for i, name in enumerate(names):
        (folder / name).write_text(f"a,y\n{i},0\n")


def test_a_folder_is_its_files_by_name_without_hidden_ones(read: Any, tmp_path: Path) -> None:
    parts(tmp_path, "b.csv", "a.csv", ".b.csv.crc", "_SUCCESS", "c.csv")
    assert read(tmp_path).features.tolist() == [[1], [0], [4]]


def test_a_pattern_is_all_files_that_match_by_name(read: Any, tmp_path: Path) -> None:
    parts(tmp_path, "part-2.csv", "part-1.csv", "other.csv", "part-3.txt")
    assert read(tmp_path / "part-*.csv").features.tolist() == [[1], [0]]
    (tmp_path / "deeper").mkdir()
    parts(tmp_path / "deeper", "part-0.csv")
    assert read(tmp_path / "**" / "part-?.csv").features.tolist() == [[0], [1], [0]]


def test_a_name_with_brackets_is_first_of_all_a_name(read: Any, tmp_path: Path) -> None:
    parts(tmp_path, "a1.csv", "a[1].csv")
    assert read(tmp_path / "a[1].csv").features.tolist() == [[1]]


def test_home_is_understood(read: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    parts(tmp_path, "a.csv")
    assert read("~/a.csv").features.tolist() == [[0]]


def make_folder(folder: Path) -> None:
    (folder / "empty").mkdir()
    (folder / "nested" / "deeper").mkdir(parents=True)
    (folder / "mixed").mkdir()
    parts(folder / "mixed", "a.csv")
    (folder / "mixed" / "b.libsvm").write_text("1 1:1\n")
    (folder / "noted").mkdir()
    parts(folder / "noted", "a.csv", "README")
    (folder / "a.csv").mkdir()
    os.mkfifo(folder / "pipe.csv")


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("none.csv", "none.csv: there is no such file or folder (seen from "),
        ("none-*.csv", "none-*.csv: no file matches this pattern"),
        ("empty", "empty: there are no files in this folder"),
        ("nested", "nested: there is another folder in this folder, deeper; give a pattern"),
        ("mixed", "mixed: the files must be of one format, there are "),
        ("noted", "README: the format is not known from the name; names end in .csv, .tsv, "),
        ("*.csv", "a.csv: this is a folder, a file is needed"),
        ("pipe.csv", "pipe.csv: the file cannot be read: this is neither a file nor a folder"),
        ("a\0.csv", "there is no such file or folder"),
    ],
)
def test_what_is_no_file_is_refused(
    read: Any, refuses: Any, tmp_path: Path, name: str, complaint: str
) -> None:
    make_folder(tmp_path)
    with refuses(complaint):
        read(tmp_path / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused(read: Any, refuses: Any, tmp_path: Path) -> None:
    parts(tmp_path, "a.csv")
    (tmp_path / "a.csv").chmod(0)
    with refuses("a.csv: the file cannot be read: Permission denied"):
        read(tmp_path / "a.csv")


# --- URLs


def test_urls_are_files_folders_and_patterns_too(read: Any, tmp_path: Path, memory: Any) -> None:
    memory.pipe({"/d/b.csv": TEXT, "/d/a.csv.gz": gzip.compress(TEXT), "/d/_SUCCESS": b""})
    (tmp_path / "a.csv").write_bytes(TEXT)
    assert read(f"file://{tmp_path}/a.csv").features.tolist() == FEATURES
    assert read("memory://d/b.csv").features.tolist() == FEATURES
    assert read("memory://d").features.tolist() == FEATURES * 2
    assert read("memory://d/*.csv*").features.tolist() == FEATURES * 2


def test_errors_name_the_url(read: Any, refuses: Any, memory: Any) -> None:
    memory.pipe({"/d/b.csv": b"a,y\nx,1\nx,nan\n"})
    with refuses("memory:///d/b.csv: line 3: the target is missing, it is 'nan'"):
        read("memory://d/*.csv")
    with refuses("memory://d/none.csv: there is no such file or folder"):
        read("memory://d/none.csv")
    with refuses("nowhere://a.csv: data at nowhere:// are not opened here, only at file, memory"):
        read("nowhere://a.csv")


def test_what_a_remote_driver_raises_is_translated(
    read: Any, refuses: Any, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("no credentials")

    memory.pipe({"/a.csv": TEXT})
    monkeypatch.setattr(type(memory), "open", refuse)
    with refuses("memory://a.csv: the file cannot be read: no credentials"):
        read("memory://a.csv")


def test_sizes_need_not_be_known(
    read: Any, refuses: Any, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(memory), "size", lambda *_: None)
    memory.pipe("/a.csv", TEXT)
    seen: list[tuple[int, int]] = []
    list(open_reader("memory://a.csv", {}, lambda *news: seen.append(news)))
    assert seen == [(len(TEXT), 0)]
    whole = io.BytesIO()
    np.save(whole, [[1.0, 2.0]])
    memory.pipe("/a.npy", whole.getvalue()[:-1])
    with refuses("memory://a.npy: the file is cut short"):
        read("memory://a.npy", labelled=False)


def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    read: Any, refuses: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.parquet").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with refuses(
        "s3://a/b.csv: files at a URL need fsspec: pip install '.[remote]' in the checkout"
    ):
        read("s3://a/b.csv")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with refuses("a.parquet: Parquet files need pyarrow: pip install '.[parquet]' in the checkout"):
        read(tmp_path / "a.parquet")


# --- options


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"format": "cvs"}, "option format must be csv, parquet, libsvm, npy, got 'cvs' (did "
         "you mean 'csv'?)"),
        ({"delimeter": ";"}, "unknown option 'delimeter' of csv data, known are: format, header, "),
        ({"delimeter": ";"}, "(did you mean 'delimiter'?)"),
        ({"zero_based": True}, "unknown option 'zero_based' of csv data"),
        ({"delimiter": ";;"}, "must be one character, the word tab, or \\s+, got ';;'"),
        ({"delimiter": '"'}, "option delimiter must be one character"),
        ({"header": "yes"}, "option header must be auto or true or false, got 'yes'"),
        ({"bad_lines": -1}, "option bad_lines must be a whole number from 0 to 1000000, got -1"),
        ({"bad_lines": True}, "option bad_lines must be a whole number"),
        ({"buckets": 0}, "option buckets must be a whole number from 1 to"),
        ({"missing": "x"}, "option missing must be mean, median, error, or a number that fits "
         "float32, got 'x'"),
        ({"missing": 1e39}, "option missing must be mean, median"),
        ({"target": 1.5}, "option target must be the name or the position of a column, got 1.5"),
        ({"format": "libsvm", "features": 0}, "option features must be a whole number from 1 to"),
    ],
)  # fmt: skip
def test_options_that_make_no_sense_are_refused(
    read: Any, refuses: Any, tmp_path: Path, options: Any, complaint: str
) -> None:
    (tmp_path / "a.csv").write_bytes(TEXT)
    with refuses(complaint) as raised:
        read(tmp_path / "a.csv", **options)
    assert str(raised.value).startswith(f"{tmp_path}/a.csv: ")


def test_every_option_is_documented() -> None:
    from distbelief.app.datasets.formats import options

    for known in KNOWN.values():
        for name in known:
            assert f"\n    {name} " in (options.__doc__ or "") or f"\n{name} " in options.__doc__


# --- progress and memory


def test_progress_ends_with_all_bytes_of_all_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "BLOCK_BYTES", 1000)
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_bytes(b"1,2\n" * 1000)
    seen: list[tuple[int, int]] = []
    chunks = sum(1 for _ in open_reader(str(tmp_path), {}, lambda *news: seen.append(news)))
    assert chunks == len(seen) == 8
    assert seen[-1] == (8000, 8000)
    assert sorted(seen) == seen


def test_a_reader_reads_the_same_again(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1,2\nx,y\n3,4\n")
    reader = open_reader(str(tmp_path / "a.csv"), {"bad_lines": 1, "categorical": ""})
    first, second = ([list(cast("Any", chunk.targets)) for chunk in reader] for _ in range(2))
    assert first == second == [["2", "4"]]
    assert len(reader.skipped) == 1


@pytest.mark.parametrize("name", ["a.csv", "a.libsvm"])
def test_a_line_without_end_is_refused_before_it_fills_the_memory(
    read: Any, refuses: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(lines, "LINE_BYTES", 3 << 20)
    (tmp_path / name).write_bytes(b"1,1 1:1\n"[0 if "csv" in name else 2 :] + b"x" * (9 << 20))
    with refuses(f"{name}: line 2: this line is longer than 3 MB; is it text with one example per"):
        read(tmp_path / name, **({"header": False} if "csv" in name else {}))
