"""A hint for whoever mistyped the name of a file."""

from __future__ import annotations

import difflib
from pathlib import Path


def near(path: str | Path, pattern: str = "*") -> str:
    """The file nearly of that name in its folder, as the end of a sentence; empty if none is."""
    if "\0" in str(path):
        return ""
    beside = sorted(map(str, Path(path).parent.glob(pattern)))
    nearest = difflib.get_close_matches(str(path), beside, n=1)
    return f" (did you mean {nearest[0]!r}?)" if nearest else ""
