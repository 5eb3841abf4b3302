"""The cache: one conversion however a path is written, its size, its bounds."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path

import pytest

from distbelief.app.datasets.cache import standard_input, upkeep
from distbelief.app.datasets.cache.opening import open_cached
from distbelief.app.datasets.cache.upkeep import Entry, cache_limit, clear, entries, prune
from distbelief.app.errors import ConfigError, DataError
from tests.unit.app.datasets.cache.test_streams import converted


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def table(path: Path, first: int = 1) -> str:
    path.write_text(f"a,y\n{first},0\n2,1\n")
    return str(path)


def test_a_file_is_converted_once_however_its_path_is_written(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x").mkdir()
    table(tmp_path / "x" / "a.csv")
    (tmp_path / "link.csv").symlink_to(tmp_path / "x" / "a.csv")
    (tmp_path / "y").symlink_to(tmp_path / "x")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for source in (
        "x/a.csv", "./x/a.csv", "x/../x/a.csv", "y/a.csv", "link.csv", "~/x/a.csv", "x/*.csv", "x",
        f"{tmp_path}/x/a.csv", f"file://{tmp_path}/x/a.csv",
    ):  # fmt: skip
        assert open_cached(source, {}, folder).name == source
    assert len(converted(folder)) == 1
    open_cached("x", {"target": "a"}, folder)
    assert len(converted(folder)) == 2


def test_a_link_of_another_ending_is_other_data(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "blob").write_text("a,b\tc\n1,2\t3\n")
    for name, target, words in (("a.tsv", "c", 0), ("a.csv", "a", 1)):
        (tmp_path / name).symlink_to(tmp_path / "blob")
        data = open_cached(str(tmp_path / name), {"target": target, "categorical": words}, folder)
        assert data.n_examples == 1
    assert len(converted(folder)) == 2


def opened(tmp_path: Path, folder: Path, *names: str) -> list[Entry]:
    """Convert files, each used a minute after the one before."""
    for minute, name in enumerate(names):
        open_cached(table(tmp_path / name, minute), {}, folder)
        (latest,) = (entry for entry in entries(folder) if entry.source.endswith(name))
        os.utime(latest.path, (minute * 60, minute * 60))
    return entries(folder)


def test_what_was_unused_for_longest_goes_first(tmp_path: Path, folder: Path) -> None:
    found = opened(tmp_path, folder, "a.csv", "b.csv", "c.csv")
    assert [Path(entry.source).name for entry in found] == ["a.csv", "b.csv", "c.csv"]
    open_cached(str(tmp_path / "a.csv"), {}, folder)  # which uses it
    total = sum(entry.n_bytes for entry in found)
    assert prune(folder, total) == 0
    assert prune(folder, total - 1) == found[1].n_bytes
    assert [Path(entry.source).name for entry in entries(folder)] == ["c.csv", "a.csv"]


def test_a_conversion_keeps_the_cache_in_its_bounds(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(tmp_path, folder, "a.csv", "b.csv")
    monkeypatch.setenv(upkeep.LIMIT_VARIABLE, "1KB")
    data = open_cached(table(tmp_path / "new.csv"), {}, folder)
    assert [Path(entry.source).name for entry in entries(folder)] == ["new.csv"]
    assert data.features[:].tolist() == [[1], [2]]


def test_what_is_open_stays(tmp_path: Path, folder: Path) -> None:
    data = open_cached(table(tmp_path / "a.csv"), {}, folder)
    opened(tmp_path, folder, "b.csv")
    gone, left = clear(folder)
    assert gone
    assert [entry.source for entry in left] == [str(tmp_path / "a.csv")]
    assert data.features[:].tolist() == [[1], [2]]
    data = replace(data, weights=data.targets)  # as weighted data are, and scaled ones
    assert [entry.source for entry in clear(folder)[1]] == [str(tmp_path / "a.csv")]
    del data
    assert clear(folder)[1] == []
    assert not list(folder.glob("*.digest"))
    assert open_cached(str(tmp_path / "a.csv"), {}, folder).n_examples == 2


def test_arrays_of_a_program_stay_for_a_day(folder: Path) -> None:
    (folder / "arrays-abc").mkdir(parents=True)
    assert clear(folder)[1] != []
    os.utime(folder / "arrays-abc", (0, 0))
    assert clear(folder)[1] == []


@pytest.mark.parametrize(
    ("text", "n_bytes"), [("500MB", 5 * 10**8), ("1.5 tb", 1.5e12), ("20G", 2e10), ("7", 7)]
)
def test_the_limit_is_a_number_of_bytes(
    monkeypatch: pytest.MonkeyPatch, text: str, n_bytes: float
) -> None:
    monkeypatch.setenv(upkeep.LIMIT_VARIABLE, text)
    assert cache_limit() == n_bytes


@pytest.mark.parametrize("text", ["much", "-1", "1 PB", "1e9"])
def test_a_limit_that_is_no_number_of_bytes_is_refused(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv(upkeep.LIMIT_VARIABLE, text)
    with pytest.raises(ConfigError, match="DISTBELIEF_CACHE_LIMIT must be a number of bytes"):
        open_cached(table(tmp_path / "a.csv"), {}, folder)


class Pipe(io.TextIOWrapper):
    """Standard input that comes from somewhere."""


def test_standard_input_is_a_file_that_can_be_read_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = set()
    for _ in range(2):
        monkeypatch.setattr("sys.stdin", Pipe(io.BytesIO(b"a,y\n1,2\n3,4\n")))
        names.add(standard_input.kept("-", folder))
    (name,) = names
    assert open_cached(name, {}, folder).n_examples == 2
    assert standard_input.kept("a.csv", folder) == "a.csv"
    assert not list(folder.glob("*.partial"))
    assert "input" in {entry.source for entry in entries(folder)}


def test_a_terminal_is_no_standard_input(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(Pipe):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal(io.BytesIO()))
    with pytest.raises(DataError, match="is a terminal: give it a file or a pipe"):
        standard_input.kept("-", folder)
