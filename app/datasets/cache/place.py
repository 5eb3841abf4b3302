"""Where the data cache of a machine is."""

from __future__ import annotations

import os
from pathlib import Path


def default_cache_folder() -> Path:
    """``$DISTBELIEF_CACHE``, else ``$XDG_CACHE_HOME/distbelief``, else ``~/.cache/distbelief``."""
    if chosen := os.environ.get("DISTBELIEF_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "distbelief"
