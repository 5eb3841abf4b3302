"""Temporary files and folders of a process: the next one of the same user clears dead ones away.

Each is locked as long as the process lives, and never there without the lock. What has no lock of
ours, is somebody else's, or is reached through a link is left alone.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import socket
import stat
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: The file in a folder that its owner has locked.
OWNER = "owner"


def lock(path: Path) -> int:
    """Make a file that this process has locked, until it ends or the descriptor is closed.

    Whoever sees the file sees it locked: it appears in one step. Raises OSError.
    """
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        partial.rename(path)
    except BaseException:
        os.close(descriptor)
        partial.unlink(missing_ok=True)
        raise
    return descriptor


def sweep_folders(home: Path, names: re.Pattern[str]) -> list[Path]:
    """Remove the folders of those ``names`` in ``home`` whose owners are dead; which they were.

    A folder is kept while somebody answers on a socket in it.
    """
    return [path for path in _ours(home, names, stat.S_ISDIR) if _swept_folder(path)]


def sweep_files(home: Path, names: re.Pattern[str], least_age_s: float) -> list[Path]:
    """Remove the files of those ``names`` whose owners are dead, if they are that old."""
    return [path for path in _ours(home, names, stat.S_ISREG) if _swept_file(path, least_age_s)]


def _ours(home: Path, names: re.Pattern[str], kind: Callable[[int], bool]) -> Iterator[Path]:
    """What lies there under such a name, is of that kind itself, not by a link, and is ours."""
    with suppress(OSError), os.scandir(home) as found:
        for entry in found:
            if not names.fullmatch(entry.name):
                continue
            with suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                if status.st_uid == os.geteuid() and kind(status.st_mode):
                    yield Path(entry.path)


def _swept_folder(folder: Path) -> bool:
    with _dead(folder / OWNER) as dead:
        if not dead or any(map(_answers, folder.glob("*.sock"))):
            return False
        shutil.rmtree(folder, ignore_errors=True)
        return not folder.exists()


def _swept_file(file: Path, least_age_s: float) -> bool:
    with _dead(file) as dead, suppress(OSError):
        if not dead or time.time() - file.lstat().st_mtime < least_age_s:
            return False
        file.unlink()
        return True
    return False


@contextmanager
def _dead(file: Path) -> Iterator[bool]:
    """Whether a file's owner is dead; meanwhile it is locked here, so that one alone sweeps."""
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # there is none, it is a link, or it is not ours
        yield False
        return
    try:
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        if regular:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # somebody holds it
        regular = False
    try:
        yield regular
    finally:
        os.close(descriptor)


def _answers(path: Path) -> bool:
    """Whether a server listens on that socket, or may do so: only a refusal says that none does."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
        except OSError:
            return True
    return True
