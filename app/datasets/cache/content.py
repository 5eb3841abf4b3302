"""Content of the files of a data set: digests, remembered as long as a file stays as it is.

    FOLDER/KEY.digest   for each local file: its state when it was read, and its digest

A file of two gigabytes takes seconds to read, and every worker opens it. So the digest is
remembered by path, size, time of the last change and inode. A file that has only just been
changed is not remembered: another change within the same tick of the clock would not show
(what git calls racily clean).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from typing import cast

from distbelief.app.datasets.reading.digests import digest, joined
from distbelief.app.datasets.reading.files import DataFile
from distbelief.app.files.atomic import replacing
from distbelief.app.files.documents import parse

#: A file is remembered when its last change is so long ago.
SETTLED_S = 2.0


def digest_of_file(stream: BufferedReader, folder: Path) -> str:
    """Digest of the bytes of a local file that is open at its beginning."""
    state = _state(stream)
    path = os.path.realpath(stream.name)
    note = folder / f"{joined([path, ''])}.digest"
    with suppress(OSError, ValueError):
        remembered = parse(note.read_text())
        if isinstance(remembered, list) and remembered[:-1] == [path, *state]:
            return str(remembered[-1])
    found = digest(stream)
    if _state(stream) == state and time.time() - state[1] / 1e9 > SETTLED_S:
        # Whoever cannot write here reads the file again.
        with suppress(OSError), replacing(note) as partial:
            partial.write_text(json.dumps([path, *state, found]))
    return found


def digest_of_files(files: Sequence[DataFile], folder: Path) -> str:
    """Digest of some files, local or remote; servers are asked for their checksums.

    Raises:
        DataError: a file cannot be read.
    """
    return joined([_digest_of(file, folder) for file in files])


def _digest_of(file: DataFile, folder: Path) -> str:
    if file.is_remote:
        return joined([file.checksum(), str(file.size)])
    with file.open() as stream:
        return digest_of_file(cast("BufferedReader", stream), folder)


def _state(stream: BufferedReader) -> list[int]:
    """Numbers of which one changes when the file does."""
    status = os.fstat(stream.fileno())
    return [status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev]
