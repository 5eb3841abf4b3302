"""What dead processes left in the folder for temporary files goes, and nothing else."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from distbelief.app.files.owned import OWNER, lock, sweep_files, sweep_folders

NAMES = re.compile(r"ours-[a-z]+")
DEADLINE_S = 60.0

OWNING = """
import sys, time
from pathlib import Path
from distbelief.app.files.owned import lock

held = lock(Path(sys.argv[1]))
print("locked", flush=True)
time.sleep(600)
"""


@contextmanager
def owned_by_a_process(file: Path) -> Iterator[subprocess.Popen[str]]:
    """It is killed in the end."""
    command = [sys.executable, "-c", OWNING, str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(DEADLINE_S)


def folder(home: Path, name: str) -> Path:
    made = home / name
    made.mkdir(mode=0o700)
    (made / "worker.log").write_text("text")
    return made


def test_a_folder_goes_when_its_owner_was_killed_and_not_before(tmp_path: Path) -> None:
    made = folder(tmp_path, "ours-killed")
    with owned_by_a_process(made / OWNER):
        assert sweep_folders(tmp_path, NAMES) == []
        assert (made / "worker.log").exists()
    assert sweep_folders(tmp_path, NAMES) == [made]
    assert list(tmp_path.iterdir()) == []


def test_what_has_no_lock_another_name_or_a_link_is_left_alone(tmp_path: Path) -> None:
    elsewhere = folder(tmp_path, "elsewhere")
    os.close(lock(elsewhere / OWNER))
    (tmp_path / "ours-link").symlink_to(elsewhere)
    folder(tmp_path, "ours-new")
    behind = folder(tmp_path, "ours-behind")
    (behind / OWNER).symlink_to(elsewhere / OWNER)
    os.mkfifo(folder(tmp_path, "ours-pipe") / OWNER)
    (tmp_path / "ours-file").touch()
    before = sorted(tmp_path.rglob("*"))
    assert sweep_folders(tmp_path, NAMES) == []
    assert sorted(tmp_path.rglob("*")) == before


def test_links_in_a_folder_go_and_what_they_lead_to_stays(tmp_path: Path) -> None:
    elsewhere = folder(tmp_path, "elsewhere")
    made = folder(tmp_path, "ours-links")
    (made / "link").symlink_to(elsewhere)
    os.close(lock(made / OWNER))
    assert sweep_folders(tmp_path, NAMES) == [made]
    assert (elsewhere / "worker.log").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of others")
def test_a_folder_of_another_user_is_left_alone(tmp_path: Path) -> None:
    made = folder(tmp_path, "ours-theirs")
    os.close(lock(made / OWNER))
    os.chown(made, 12_345, 12_345)
    assert sweep_folders(tmp_path, NAMES) == []
    assert made.exists()


def test_a_folder_whose_server_still_answers_is_left_alone(tmp_path: Path) -> None:
    made = folder(tmp_path, "ours-serving")
    os.close(lock(made / OWNER))
    here = Path.cwd()
    os.chdir(made)  # the path of a socket has room for 107 characters
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("control.sock")
            server.listen()
            assert sweep_folders(Path(".."), NAMES) == []
        assert sweep_folders(Path(".."), NAMES) == [Path("..") / made.name]
    finally:
        os.chdir(here)


def test_a_file_goes_when_it_is_old_and_its_owner_dead(tmp_path: Path) -> None:
    file, young = tmp_path / "ours-old", tmp_path / "ours-young"
    os.close(lock(young))
    with owned_by_a_process(file):
        os.utime(file, (time.time() - 1000, time.time() - 1000))
        assert sweep_files(tmp_path, NAMES, 500.0) == []
    assert sweep_files(tmp_path, NAMES, 500.0) == [file]
    assert young.exists()
    assert [each.name for each in tmp_path.iterdir()] == ["ours-young"]
