"""What a source is, from its name alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from distbelief.app.datasets.formats.idx import IDX
from distbelief.app.datasets.formats.npz import NPZ
from distbelief.app.datasets.sources.generators import GENERATORS
from distbelief.app.datasets.sources.source import File, Generated, HandedOver, Stream, parse
from distbelief.app.errors import DataError


@pytest.mark.parametrize("name", GENERATORS)
def test_names_of_generators_are_made(name: str) -> None:
    assert parse(name) == Generated(name)


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.npz", NPZ),
        ("~/A.NPZ", NPZ),
        ("s3://bucket/a.npz", NPZ),  # which says later that it is not here
        ("train-images-idx3-ubyte", IDX),
        ("t10k-images.idx3-ubyte.gz", IDX),
    ],
)
def test_files_that_need_not_be_there_are_read_into_memory(name: str, form: object) -> None:
    found = parse(name)
    assert isinstance(found, File)
    assert found.format is form


@pytest.mark.parametrize(
    "name",
    ["a.csv", "a.TSV.gz", "a.svm", "a.pq", "a-x.npy", "parts/*", "a?", "https://host/data", "[ab]"],
)
def test_other_files_patterns_and_urls_are_streams(name: str) -> None:
    assert parse(name) == Stream(name)


def test_a_folder_is_a_stream_if_it_is_there(tmp_path: Path) -> None:
    assert parse(str(tmp_path)) == Stream(str(tmp_path))
    with pytest.raises(DataError, match="unknown data source"):
        parse(f"{tmp_path}/nowhere")


def test_a_folder_may_be_called_as_a_file_that_is_read_into_memory(tmp_path: Path) -> None:
    (tmp_path / "a.npz").mkdir()
    assert isinstance(parse(f"{tmp_path}/a.npz"), File)


def test_arrays_are_known_by_their_prefix_whatever_follows() -> None:
    assert parse("arrays:/some/a.csv") == HandedOver("arrays:/some/a.csv", Path("/some/a.csv"))


def test_paths_become_absolute_and_nothing_else_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    assert parse("a.csv").absolute() == f"{tmp_path}/a.csv"
    assert parse("../a.npz").absolute() == f"{tmp_path.parent}/a.npz"
    assert parse("~/*.csv").absolute() == "/home/me/*.csv"
    for name in ("digits", "arrays:data", "https://host/a.csv", "s3://bucket/a.npz"):
        assert parse(name).absolute() == name
