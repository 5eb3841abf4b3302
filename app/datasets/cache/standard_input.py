"""Data from standard input: kept in the cache, where it can be read as often as need be."""

from __future__ import annotations

import hashlib
import secrets
import sys
from pathlib import Path

from distbelief.app.datasets.cache.upkeep import cache_limit, prune
from distbelief.app.errors import DataError
from distbelief.app.files.atomic import flush

#: The source that stands for standard input.
STANDARD_INPUT = "-"

_BLOCK_BYTES = 1 << 20


def kept(source: str, folder: Path) -> str:
    """The file with what ``source`` says: itself, or for ``-`` one with all of standard input.

    Equal content has one name in the cache, ``input-DIGEST/stdin``.

    Raises:
        DataError: standard input is a terminal, or the cache cannot be written.
    """
    if source != STANDARD_INPUT:
        return source
    if sys.stdin is None or sys.stdin.isatty():
        raise DataError("standard input (-) is a terminal: give it a file or a pipe")
    try:
        return str(_stored(folder))
    except OSError as error:
        raise DataError(
            f"standard input: cannot write the data cache in {folder} ({error.strerror}); "
            "set DISTBELIEF_CACHE to a folder with room that you may write to"
        ) from error


def _stored(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"input-{secrets.token_hex(8)}.partial"
    partial.mkdir()
    content = hashlib.blake2b(digest_size=16)
    with (partial / "stdin").open("wb") as file:
        while block := sys.stdin.buffer.read(_BLOCK_BYTES):
            content.update(block)
            file.write(block)
        flush(file)
    final = folder / f"input-{content.hexdigest()}"
    if not (final / "stdin").exists():
        partial.rename(final)
    else:
        (partial / "stdin").unlink()
        partial.rmdir()
    prune(folder, cache_limit(), keep=final)
    return final / "stdin"
