"""The native engine: a module for Redis and Valkey, in C, that does what the scripts do.

Installation builds it where there is a C compiler; without it, everything runs on the scripts.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from pathlib import Path

from distbelief.app.store.native.sources import version


def library() -> Path | None:
    """The built module, or None."""
    return next(iter(sorted(Path(__file__).parent.glob("engine*.so"))), None)


@lru_cache(maxsize=1)
def engine() -> ctypes.CDLL | None:
    """Its functions for this process; None where it is not built, or was for another machine."""
    path = library()
    if path is None:
        return None
    try:
        found = ctypes.CDLL(str(path))
        told = found.distbelief_version
    except (OSError, AttributeError):
        return None
    told.restype = ctypes.c_char_p
    return found if told() == version().encode() else None  # else it was built of other sources
