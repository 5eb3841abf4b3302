"""Files that a server on this host reads and writes as well, mapped here: shared memory.

They lie in the folder that the server's module was allowed. That both see the same file, a random
word proves, and that they see it in one memory, the id of the boot: hosts may share a folder, too.
"""

from __future__ import annotations

import mmap
import os
import re
import secrets
import weakref
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import redis

from distbelief.app.client.pools import Connection
from distbelief.app.client.scripts import COMMANDS
from distbelief.app.files.owned import lock, sweep_files

#: Asked for the folder, and for the word in a file there.
MEET = f"{COMMANDS}.shared"

NAMES = re.compile(r"array-[0-9a-f]{32}")
WORD_BYTES = 32
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Segment:
    """A file in a server's folder; it goes with this object, or with the process.

    Raises OSError where there is no room for it.
    """

    def __init__(self, folder: Path, nbytes: int) -> None:
        self.name = f"array-{secrets.token_hex(16)}"
        self.nbytes = nbytes
        path = folder / self.name
        file = lock(path)
        self._let_go = weakref.finalize(self, _remove, path, file, os.getpid())
        try:
            os.fchmod(file, folder.stat().st_mode & 0o660)
            os.posix_fallocate(file, 0, nbytes)  # a full system would end whoever writes later
            self.bytes = np.frombuffer(mmap.mmap(file, nbytes), np.uint8)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._let_go()


def meet(connection: Connection) -> Path | None:
    """The folder that a server and this process see as one; None where there is none such.

    Raises redis-py's errors where the server cannot be asked.
    """
    try:
        folder, theirs = _ask(connection)
        if theirs != boot():
            return None
        found = Path(os.fsdecode(folder))
        return found if _is_one(connection, found) else None
    except redis.ResponseError:  # it has no folder, or no right to it is given us
        return None


def _is_one(connection: Connection, folder: Path) -> bool:
    sweep_files(folder, NAMES, 0.0)  # those of clients that were killed
    word = secrets.token_bytes(WORD_BYTES)
    try:
        probe = Segment(folder, len(word))
    except OSError:  # it is not here, not ours, or full
        return False
    with closing(probe):
        probe.bytes[:] = np.frombuffer(word, np.uint8)
        return bool(_ask(connection, probe.name) == word)


def _ask(connection: Connection, *about: str) -> Any:
    connection.send_command(MEET, *about)
    return connection.read_response()


def boot() -> bytes | None:
    """The id of the system's last start; None where it has none, so that nothing is shared."""
    try:
        return BOOT_ID.read_bytes().strip()
    except OSError:
        return None


def _remove(path: Path, file: int, owner: int) -> None:
    with suppress(OSError):
        if os.getpid() == owner:  # and no process that was forked from it
            path.unlink(missing_ok=True)
    os.close(file)
