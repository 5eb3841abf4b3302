"""Checksums of a converted data set: a bit that flipped on the disk is not trained on.

CRC-32 finds every flipped bit and every burst of 32, at 2 GB a second where SHA-256
makes 0.9. Small data sets are checked whenever they
are opened. Of large ones it is remembered what was checked, by the files' sizes, times and inodes.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from distbelief.app.datasets.examples.mapped import MAPPED_BYTES
from distbelief.app.files.atomic import replacing
from distbelief.app.files.documents import parse

#: In the folder of a large data set: how its files were when they were checked.
CHECKED = "checked.json"

#: Data sets of at most so many bytes are checked at each opening, which takes a tenth of a second.
ALWAYS_BYTES = MAPPED_BYTES

_PIECE = 1 << 20


def checksums(folder: Path, names: Iterable[str]) -> dict[str, int]:
    """The CRC-32 of each file; raises OSError."""
    return {name: _checksum(folder / name) for name in names}


def is_as_written(folder: Path, expected: Mapping[str, int]) -> bool:
    """Whether the files have those checksums, now or, if large, before; raises OSError."""
    states = [_state(folder / name) for name in expected]
    is_large = sum(size for size, *_ in states) > ALWAYS_BYTES
    if is_large:
        with suppress(OSError, ValueError):
            if parse((folder / CHECKED).read_text()) == states:
                return True
    if checksums(folder, expected) != expected:
        return False
    if is_large:
        with suppress(OSError), replacing(folder / CHECKED) as partial:
            partial.write_text(json.dumps(states))
    return True


def _checksum(path: Path) -> int:
    found, buffer = 0, memoryview(bytearray(_PIECE))
    with path.open("rb", buffering=0) as stream:
        while n_bytes := stream.readinto(buffer):
            found = zlib.crc32(buffer[:n_bytes], found)
    return found


def _state(path: Path) -> list[int]:
    """Numbers of which one changes when the file does."""
    status = os.stat(path)
    return [status.st_size, status.st_mtime_ns, status.st_ino]
