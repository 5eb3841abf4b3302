"""The format of files whose names say none."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distbelief.app.datasets.cache.opening import open_cached
from distbelief.app.datasets.examples.compatibility import Compatibility
from distbelief.app.datasets.reading.use import Use
from distbelief.app.datasets.sources.source import Stream, parse
from distbelief.app.errors import DataError

SVM = "+1 1:0.7 3:1 \n-1 2:0.5\n+1 3:1 # a comment\n-1\n"


@pytest.mark.parametrize(
    ("name", "content", "form"),
    [
        ("a9a", SVM, "libsvm"),
        ("heart_scale", "# a comment\n\n" + SVM, "libsvm"),
        ("yeast", "1,3 2:4\n", "libsvm"),  # which says then what it does not read
        ("unlabelled", "1:0.5 2:1\n3:1\n", "libsvm"),
        ("mq2008", "2 qid:10 1:0.03 2:0.5\n", "libsvm"),
        ("iris.data", "5.1,3.5,Iris-setosa\n", "csv"),
        ("u.data", "196\t242\t3\t881250949\n", "csv"),
        ("times", "5.1,2020-01-01 10:30,1\n2.2,2020-01-02 11:30,0\n", "csv"),
        ("pairs", "a b\n1 2\n", "csv"),
    ],
)
def test_content_says_what_a_name_does_not(
    tmp_path: Path, name: str, content: str, form: str
) -> None:
    (tmp_path / name).write_text(content)
    found = parse(str(tmp_path / name))
    assert isinstance(found, Stream)
    options: dict[str, Any] = (
        {} if form == "libsvm" else {"header": False, "categorical": "", "keep": "*"}
    )
    assert found.open_reader(options, use=Use(labelled=False)).form == form


def test_binary_files_are_known_by_their_first_bytes(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table({"a": [1.0, 2], "y": [0, 1]}), tmp_path / "part-00000")
    assert open_cached(str(tmp_path / "part-00000"), {}, tmp_path / "cache").n_examples == 2
    content = io.BytesIO()
    np.save(content, np.ones((2, 3)))
    (tmp_path / "features").write_bytes(content.getvalue())
    found = parse(str(tmp_path / "features"))
    assert isinstance(found, Stream)
    assert found.open_reader({}, use=Use(labelled=False)).columns.n_features == 3


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK\x03\x04rest", "a: this looks like a zip archive: unpack it"),
        (b"<!DOCTYPE html>", "a: this looks like HTML or XML"),
        (b'{"a": 1, "b": 2}\n', "a: this looks like JSON"),
        (b"@relation x\n", "a: this looks like ARFF"),
        (b"some words\nand more of them here\n", "neither its name nor its content says what"),
        (b"", "neither its name nor its content says what format this is; names end in .csv"),
    ],
)
def test_what_is_no_known_format_is_told_with_the_remedy(
    read: Any, refuses: Any, tmp_path: Path, content: bytes, words: str
) -> None:
    (tmp_path / "a").write_bytes(content)
    with refuses(words) as raised:
        read(tmp_path / "a")
    assert "the option format says csv, parquet, libsvm, npy" in str(raised.value)


def test_the_option_goes_before_the_content(read: Any, tmp_path: Path) -> None:
    (tmp_path / "a9a").write_text("1 1:2\n0 1:3\n")
    found = read(tmp_path / "a9a", format="csv", delimiter=r"\s+", header=False, target=0)
    assert found.targets == ["1", "0"]


def test_other_data_are_read_in_the_format_of_the_training(tmp_path: Path) -> None:
    (tmp_path / "train").write_text("ja 1:2\nnein 2:3\n")
    (tmp_path / "later").write_text("ja\nnein\n")  # all features are zero
    (tmp_path / "later.csv").write_text("1,2,ja\n")
    data = open_cached(str(tmp_path / "train"), {}, tmp_path / "cache")
    assert data.facts.reading["format"] == "libsvm"
    compatibility = Compatibility(data.schema, "the training data", data.facts.reading)
    later = open_cached(
        str(tmp_path / "later"), {}, tmp_path / "cache", compatibility=compatibility
    )
    assert later.targets[:].tolist() == [0, 1]
    found = parse(str(tmp_path / "later.csv"))
    assert isinstance(found, Stream)
    assert found.completed({}, compatibility) == {}
    skipping = replace(compatibility, reading={**data.facts.reading, "skip": 2})
    assert found.completed({}, skipping) == {"skip": 2}


def test_labels_without_features_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.libsvm").write_text("1\n0\n")
    with pytest.raises(DataError, match=r"a\.libsvm: there are no features, only targets"):
        open_cached(str(tmp_path / "a.libsvm"), {}, tmp_path / "cache")
    assert open_cached(str(tmp_path / "a.libsvm"), {"features": 3}, tmp_path / "cache").n_features
