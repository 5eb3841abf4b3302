"""The ids of runs, which are the names of their folders and part of their keys."""

from __future__ import annotations

import re
import time
import uuid
from contextlib import suppress
from datetime import datetime

from distbelief.app.errors import RunDamaged

_BEGAN = re.compile(r"(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)", re.ASCII)
_FORM = "%Y%m%d-%H%M%S"

LONGEST_ID = 200


def new_run_id(name: str | None = None) -> str:
    """Sorts by time, and is unique without asking anybody; it ends with the run's ``name``."""
    return "-".join([time.strftime(_FORM), uuid.uuid4().hex[:4], *([name] if name else [])])


def began(run: str) -> float | None:
    """When the run of that id began, in seconds since 1970; None if its id does not say so."""
    found = _BEGAN.match(run)
    if found is not None:
        year, month, day, hour, minute, second = map(int, found.groups())
        with suppress(ValueError, OverflowError):
            return datetime(year, month, day, hour, minute, second).timestamp()
    return None


def check_id(run: str) -> None:
    """Raise RunDamaged unless ``run`` can be a run's id, which is the name of its folder, too."""
    try:
        odd = not run.encode() or len(run) > LONGEST_ID or run in (".", "..")
    except UnicodeEncodeError:
        odd = True
    if odd or any(each in "/\\" or not each.isprintable() for each in run):
        name = run.rstrip("/").rpartition("/")[2]
        meant = "" if odd or name in ("", ".", "..") else f" (did you mean {name!a}?)"
        raise RunDamaged(f"{run!a} is no id of a run: these are words, without / and \\{meant}")
