"""Files that replace others in one step, and things that no file may replace."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from distbelief.app.errors import ConfigError
from distbelief.app.files.atomic import new_folder, obstacle, replacing


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    """One that is nobody's default, so that a mode can only come from it."""
    before = os.umask(0o026)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def write(path: Path, text: str = "new") -> None:
    with replacing(path) as partial:
        partial.write_text(text)


def test_a_file_has_its_new_content_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    write(tmp_path / "a")
    assert (tmp_path / "a").read_text() == "new"
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_the_old_file_is_there_until_all_is_written(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with replacing(tmp_path / "a") as partial:
        partial.write_text("half")
        assert (tmp_path / "a").read_text() == "old"


def test_an_error_leaves_everything_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "a") as partial:
        partial.write_text(f"{1 / len(partial.read_text())}")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_folders_on_the_way_are_made(tmp_path: Path) -> None:
    write(tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a" / "b" / "c").read_text() == "new"


def test_a_new_file_has_the_mode_of_the_umask(tmp_path: Path) -> None:
    write(tmp_path / "a")
    assert mode(tmp_path / "a") == 0o640


def test_the_mode_is_that_of_the_umask_whoever_makes_the_file(tmp_path: Path) -> None:
    """Libraries that write a temporary file and rename it leave a mode of their own."""
    with replacing(tmp_path / "a") as partial:
        partial.unlink()
        partial.touch(mode=0o600)
    assert mode(tmp_path / "a") == 0o640


def test_a_file_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "a").touch(mode=0o600)
    with replacing(tmp_path / "a") as partial:
        assert mode(partial) == 0o600  # what is written is never less private than what was
    assert mode(tmp_path / "a") == 0o600


def test_a_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a").write_text("old")
    (tmp_path / "link").symlink_to("there/a")
    write(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there" / "a").read_text() == "new"
    assert list((tmp_path / "there").iterdir()) == [tmp_path / "there" / "a"]


def test_a_link_to_nothing_gets_its_target(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("a")
    write(tmp_path / "link")
    assert (tmp_path / "a").read_text() == "new"


def test_links_in_a_ring_are_an_error_of_the_file_system(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        write(tmp_path / "a")


def bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


@pytest.mark.parametrize(
    ("make", "kind"), [(Path.mkdir, "a folder"), (os.mkfifo, "a pipe"), (bind, "a socket")]
)
def test_something_else_than_a_file_is_not_replaced(
    tmp_path: Path, make: Callable[[Path], None], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    make(Path("a"))
    before = os.lstat("a")
    with pytest.raises(ConfigError, match=f"^a is {kind}, which no file may replace"):
        write(Path("a"))
    assert os.path.samestat(before, os.lstat("a"))
    assert os.listdir() == ["a"]


def test_a_device_is_not_replaced_even_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/null")
    for path in (Path("/dev/null"), tmp_path / "link"):
        with pytest.raises(ConfigError, match="is a device, which no file may replace"):
            write(path)
    assert Path("/dev/null").is_char_device()


def test_files_and_nothing_are_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert obstacle(tmp_path / "a") is None
    assert obstacle(tmp_path / "b") is None
    assert obstacle(tmp_path / "a" / "b") is None


def test_a_folder_appears_with_everything_in_it(tmp_path: Path) -> None:
    with new_folder(tmp_path / "a", tmp_path / "a.partial") as partial:
        (partial / "b").write_text("new")
        assert not (tmp_path / "a").exists()
    assert (tmp_path / "a" / "b").read_text() == "new"
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_a_folder_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError), new_folder(tmp_path / "a", tmp_path / "b") as partial:
        partial.write_text("half")
    assert list(tmp_path.iterdir()) == []
