"""Digests are remembered as long as a file stays as it is, and not a moment longer."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from distbelief.app.datasets.cache import content
from distbelief.app.datasets.cache.content import digest_of_file, digest_of_files
from distbelief.app.datasets.reading.digests import digest
from distbelief.app.datasets.reading.files import find_files

OLD = 1_000_000_000 * 10**9


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.csv"
    path.write_text("some content")
    os.utime(path, ns=(OLD, OLD))
    return path


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were read to the end."""
    names: list[str] = []

    def noted(*streams: object) -> str:
        names.extend(str(getattr(stream, "name", "")) for stream in streams)
        return digest(*streams)  # type: ignore[arg-type]

    monkeypatch.setattr(content, "digest", noted)
    return names


def digest_in(folder: Path, file: Path) -> str:
    with file.open("rb") as stream:
        return digest_of_file(stream, folder)


def test_a_file_is_read_once(tmp_path: Path, file: Path, read: list[str]) -> None:
    assert digest_in(tmp_path, file) == digest_in(tmp_path, file)
    assert len(read) == 1


def test_the_digest_is_that_of_the_bytes(tmp_path: Path, file: Path) -> None:
    (tmp_path / "copy").write_bytes(file.read_bytes())
    assert digest_in(tmp_path, tmp_path / "copy") == digest_in(tmp_path, file)


def test_another_size_is_noticed(tmp_path: Path, file: Path) -> None:
    before = digest_in(tmp_path, file)
    file.write_text("some content and more")
    os.utime(file, ns=(OLD, OLD))
    assert digest_in(tmp_path, file) != before


def test_another_time_of_change_is_noticed(tmp_path: Path, file: Path) -> None:
    before = digest_in(tmp_path, file)
    file.write_text("same content")
    os.utime(file, ns=(OLD, OLD + 1))
    assert digest_in(tmp_path, file) != before


def test_another_file_in_its_place_is_noticed(tmp_path: Path, file: Path) -> None:
    before = digest_in(tmp_path, file)
    (tmp_path / "new").write_text("none content")
    os.utime(tmp_path / "new", ns=(OLD, OLD))
    (tmp_path / "new").replace(file)
    assert digest_in(tmp_path, file) != before


def test_a_file_that_has_just_been_changed_is_read_again(
    tmp_path: Path, file: Path, read: list[str]
) -> None:
    now = time.time_ns()
    os.utime(file, ns=(now, now))
    digest_in(tmp_path, file)
    file.write_text("semi content")
    os.utime(file, ns=(now, now))  # as if within one tick of the clock
    digest_in(tmp_path, file)
    assert len(read) == 2


@pytest.mark.parametrize("damage", ["", "[]", "{}", "[1, 2", "null"])
def test_a_damaged_note_is_no_obstacle(
    tmp_path: Path, file: Path, read: list[str], damage: str
) -> None:
    before = digest_in(tmp_path, file)
    (note,) = tmp_path.glob("*.digest")
    note.write_text(damage)
    assert digest_in(tmp_path, file) == before
    assert len(read) == 2


def test_a_folder_that_cannot_be_written_is_no_obstacle(tmp_path: Path, file: Path) -> None:
    (tmp_path / "not a folder").touch()
    assert digest_in(tmp_path / "not a folder" / "cache", file) == digest_in(tmp_path, file)


def test_the_digest_of_some_files_depends_on_each(tmp_path: Path, file: Path) -> None:
    (tmp_path / "b.csv").write_text("other")
    both, alone = find_files(str(tmp_path / "*.csv")), find_files(str(file))
    before = digest_of_files(both, tmp_path)
    assert digest_of_files(alone, tmp_path) == digest_in(tmp_path, file) != before
    (tmp_path / "b.csv").write_text("again")
    assert digest_of_files(both, tmp_path) != before
