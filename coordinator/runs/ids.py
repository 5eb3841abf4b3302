"""The ids of runs, which are the names of their folders and part of their keys."""

from __future__ import annotations

import re
import time
import uuid
from contextlib import suppress

_BEGAN = re.compile(r"\d{8}-\d{6}")
_FORM = "%Y%m%d-%H%M%S"


def new_run_id(name: str | None = None) -> str:
    """Sorts by time, and is unique without asking anybody; it ends with the run's ``name``."""
    return "-".join([time.strftime(_FORM), uuid.uuid4().hex[:4], *([name] if name else [])])


def began(run: str) -> float | None:
    """When the run of that id began, in seconds since 1970; None if its id does not say so."""
    found = _BEGAN.match(run)
    with suppress(ValueError, OverflowError):
        return time.mktime(time.strptime(found[0], _FORM)) if found else None
    return None
