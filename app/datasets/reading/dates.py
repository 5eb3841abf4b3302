"""Dates and times as numbers: seconds since 1970 (UTC), or since midnight.

Without a format those of ISO 8601 are understood (2024-05-31, 2024-05-31 17:30:00+02:00,
17:30); a time without a zone is UTC's.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

_TIME = r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?"
_ZONE = r" ?(?:Z|UTC|[+-][0-9]{2}(?::?[0-9]{2})?)"
_ISO = re.compile(rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}(?:[T ]{_TIME}(?:{_ZONE})?)?")
_CLOCK = re.compile(_TIME)
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\.?"
_OTHERS = re.compile(
    r"(?:[0-9]{1,4}([/.-])[0-9]{1,2}\1[0-9]{1,4}"
    rf"|[0-9]{{1,2}}[ -]{_MONTH}[ -][0-9]{{2,4}}|{_MONTH} [0-9]{{1,2}},? [0-9]{{4}})"
    rf"(?:[T ,]+{_TIME}(?: ?[AaPp][Mm])?(?:{_ZONE})?)?"
)
#: How days and times of day are written elsewhere, as ``strptime`` names it; the usual ones first.
_DAYS = (
    *("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d-%m-%Y", "%m-%d-%Y", "%Y.%m.%d"),
    *("%d.%m.%y", "%d/%m/%y", "%m/%d/%y", "%d %b %Y", "%d-%b-%Y", "%d %B %Y", "%b %d, %Y"),
)
_TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", "T%H:%M:%S", " %H:%M:%S.%f")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = datetime(1900, 1, 1, tzinfo=UTC)  # of a time alone


def looks_like_date(text: str) -> bool:
    """Whether this is a date or a time in one of the usual forms."""
    return any(form.fullmatch(text) for form in (_ISO, _CLOCK, _OTHERS))


def seconds(text: str, form: str | None) -> float:
    """The number of a date; ``form`` is a format of ``strptime``, None is ISO 8601.

    Raises:
        ValueError: ``text`` is no such date.
    """
    if form is not None:
        moment = datetime.strptime(text, form)  # the zone is added below
    elif _CLOCK.fullmatch(text):
        hours, minutes, *rest = text.replace(",", ".").split(":")
        since = timedelta(hours=int(hours), minutes=int(minutes), seconds=float((rest or ["0"])[0]))
        return since.total_seconds()
    elif _ISO.fullmatch(text):
        moment = datetime.fromisoformat(text.replace(" UTC", "Z").replace("UTC", "Z"))
    else:
        raise ValueError(f"no date of ISO 8601: {text}")
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    has_day = form is None or any(f"%{letter}" in form for letter in "YyjcxG")
    return (moment - (_EPOCH if has_day else _DAY)).total_seconds()


def how_written(text: str) -> str:
    """What the option ``date_format`` has to be for a date like this one.

    Where several are possible all are named; nothing is said of a date of ISO 8601.
    """
    if _ISO.fullmatch(text) or _CLOCK.fullmatch(text):
        return ""
    options = [f"the option date_format={shlex.quote(form)}" for form in _forms(text)]
    said = " or ".join(options) or "the option date_format, in the signs of strptime,"
    return f"{said} says how they are written"


def _forms(text: str) -> Iterator[str]:
    for form in (day + time for day in _DAYS for time in _TIMES):
        try:
            seconds(text, form)
        except ValueError:
            continue
        yield form


def all_seconds(texts: Iterable[bytes], form: str | None) -> npt.NDArray[np.float64]:
    """Seconds of each of ``texts``; NaN where there is nothing. Raises ValueError."""
    known: dict[bytes, float] = {b"": np.nan}

    def one(text: bytes) -> float:
        if text not in known:
            known[text] = seconds(text.decode(), form)
        return known[text]

    return np.array([one(text) for text in texts], np.float64)
