"""The size of the cache, and its bounds: what was not used for longest goes first.

Whoever has a data set open holds a shared lock on its ``meta.json``
(:func:`distbelief.app.datasets.examples.stored.open_folder`); what is locked is in use, and stays.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from distbelief.app.errors import ConfigError
from distbelief.app.settings.sizes import bytes_of

LIMIT_VARIABLE = "DISTBELIEF_CACHE_LIMIT"
DEFAULT_LIMIT = "20GB"

#: Arrays of a program that trains may not be open yet; so long nobody takes them for left over.
HANDED_OVER_S = 86_400.0

#: How folders with data begin that were fetched from where a coordinator staged them.
STAGED = "staged-"

_CONVERTED = re.compile(r"[0-9a-f]{32}(\.partial)?")
_GOING = ".going"


@dataclass(frozen=True)
class Entry:
    """A data set in the cache; ``used`` is when it was opened last, in seconds since 1970."""

    path: Path
    source: str
    n_bytes: int
    used: float


def cache_limit() -> int:
    """The bytes that the cache of this machine may have; raises ConfigError."""
    try:
        return bytes_of(os.environ.get(LIMIT_VARIABLE) or DEFAULT_LIMIT)
    except ValueError as error:
        raise ConfigError(f"{LIMIT_VARIABLE} {error}") from None


def entries(folder: Path) -> list[Entry]:
    """All data sets in the cache, converted, handed over or read from standard input."""
    return sorted(_entries(folder), key=lambda entry: entry.used)


def mark_used(complete: Path) -> None:
    """Note that the data set in this folder was opened."""
    with suppress(OSError):  # a cache that is only read is not kept in bounds from here
        os.utime(complete)


def prune(folder: Path, limit: int, keep: Path | None = None) -> int:
    """Remove what was unused for longest until the rest fits; the bytes that went.

    ``keep`` stays, and so does what is in use.
    """
    found = entries(folder)
    excess, gone = sum(entry.n_bytes for entry in found) - limit, 0
    for entry in found:
        if gone >= excess:
            break
        if entry.path != keep and _remove(entry.path):
            gone += entry.n_bytes
    return gone


def clear(folder: Path) -> tuple[int, list[Entry]]:
    """Remove everything: the bytes that went, and what stays because it is in use."""
    gone = prune(folder, -1)
    for note in folder.glob("*.digest"):
        note.unlink(missing_ok=True)
    return gone, entries(folder)


def _entries(folder: Path) -> Iterator[Entry]:
    with suppress(FileNotFoundError):
        for path in folder.iterdir():
            with suppress(OSError):  # somebody else has removed it
                if _is_entry(path):
                    yield Entry(path, _source(path), _size(path), path.stat().st_mtime)


def _is_entry(path: Path) -> bool:
    return path.is_dir() and (
        _CONVERTED.fullmatch(path.name) is not None
        or path.name.startswith(("arrays-", "input-", STAGED))
        or path.name.endswith(_GOING)
    )


def _source(path: Path) -> str:
    with suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads((path / "meta.json").read_text())["source"])
    return path.name.partition("-")[0] if "-" in path.name else "unfinished"


def _size(path: Path) -> int:
    return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())


def _remove(path: Path) -> bool:
    """Remove a data set that nobody uses; whether it went."""
    with suppress(OSError), _unused(path) as unused:
        if unused:
            going = path.with_name(f"{path.name.removesuffix(_GOING)}{_GOING}")
            path.rename(going)  # at once: nobody opens half of it
            shutil.rmtree(going)
            return True
    return False


@contextmanager
def _unused(path: Path) -> Iterator[bool]:
    """Whether nobody has it open or writes it; nobody else can as long as this goes on."""
    young = path.stat().st_mtime > time.time() - HANDED_OVER_S
    if path.name.startswith("arrays-") and young:
        yield False
        return
    lock = path.with_name(f"{path.name.removesuffix('.partial')}.lock")
    with ExitStack() as stack:
        yield all(_locked(each, stack) for each in (lock, *path.rglob("meta.json")))


def _locked(path: Path, stack: ExitStack) -> bool:
    """Lock a file, if it is there, until ``stack`` ends; False if somebody has locked it."""
    if not path.exists():
        return True
    stream = stack.enter_context(path.open())
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
