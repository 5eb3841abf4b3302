"""Lengths of time as people write them: ``90s``, ``30m``, ``12h``, ``7d``, ``2w``."""

from __future__ import annotations

import re

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
FORMS = "a number and s, m, h, d or w, like 12h or 7d"
_WRITTEN = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")

#: Ten years: beyond this it is a slip, and servers count in milliseconds.
MOST_S = 10 * 365 * UNITS["d"]


def seconds_of(text: str) -> float:
    """The seconds that ``text`` says; raises ValueError with the forms that it may have."""
    written = _WRITTEN.fullmatch(text.strip())
    seconds = float(written[1]) * UNITS[written[2]] if written else 0.0
    if not 0 < seconds <= MOST_S:
        raise ValueError(f"must be {FORMS}, at most ten years")
    return seconds


def duration_text(seconds: float) -> str:
    """A length of time in its largest unit: ``6.9 d``."""
    unit = next((each for each in "dhm" if seconds >= UNITS[each]), "s")
    return f"{seconds / UNITS[unit]:.3g} {unit}"
