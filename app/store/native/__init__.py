"""The native engine: a module for Redis and Valkey, in C, that does what the scripts do.

Installation builds it where there is a C compiler; without it, everything runs on the scripts.
"""

from __future__ import annotations

from pathlib import Path


def library() -> Path | None:
    """The built module, or None."""
    return next(iter(sorted(Path(__file__).parent.glob("engine*.so"))), None)
