"""Numbers of bytes as people write them: ``500MB``, ``20GB``."""

from __future__ import annotations

import re

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_WRITTEN = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?B?)", re.IGNORECASE)


def bytes_of(text: str) -> int:
    """The bytes that ``text`` says; raises ValueError with the forms that it may have."""
    written = _WRITTEN.fullmatch(text.strip())
    if written is None:
        raise ValueError(f"must be a number of bytes, like 500MB or 20GB, got {text!r}")
    unit = written[2].upper()
    return int(float(written[1]) * _UNITS[unit if unit in _UNITS else f"{unit}B"])
