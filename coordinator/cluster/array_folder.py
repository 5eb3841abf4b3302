"""The folder in which an embedded cluster's clients and servers share memory."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

from distbelief.app.files.owned import OWNER, lock, sweep_folders

#: Folders of embedded clusters, in the folder for temporary files and in memory.
HOMES = re.compile(r"distbelief-[a-z0-9_]{8}")

#: Where files are in memory alone; elsewhere the system writes them to the disk when it likes.
IN_MEMORY = Path("/dev/shm")  # noqa: S108  (mkdtemp is private)


class ArrayFolder:
    """A private folder in memory, where there is such a place, else in ``home``."""

    def __init__(self, home: Path) -> None:
        self.path = home / "arrays"
        self._held: int | None = None
        sweep_folders(IN_MEMORY, HOMES)  # those of coordinators that were killed
        try:
            self.path = Path(tempfile.mkdtemp(prefix="distbelief-", dir=IN_MEMORY))
            self._held = lock(self.path / OWNER)
        except OSError:
            self.path.mkdir(mode=0o700, exist_ok=True)

    def close(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        if self._held is not None:
            os.close(self._held)
        self._held = None
