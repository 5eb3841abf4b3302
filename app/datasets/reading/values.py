"""Single values: what makes one unusable, in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from distbelief.app.datasets.reading.dates import how_written, looks_like_date, seconds
from distbelief.app.datasets.reading.decimals import number
from distbelief.app.datasets.reading.notation import MISSING_WORDS

Objects = npt.NDArray[np.object_]

#: From here on numbers are rounded to infinity in float32.
TOO_LARGE = 2.0**128 - 2.0**103

#: The fault of a number that is not there, with the option missing=error.
MISSING = "the value is missing (the option missing=mean or the option missing=median fills it in)"

#: The fault of one for which the known data say nothing.
UNFILLED = (
    "the value is missing, and nothing says what stands for it (the option missing=NUMBER says it)"
)

_TRUTHS = {"false": False, "true": True}
_SHOWN = 40  # characters of a value in a message


def shown(text: str) -> str:
    """``text`` in quotes, cut to what fits a message."""
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def fault_of_text(text: str, read: Callable[[bytes], float] = number) -> str | None:
    """Why ``text`` cannot be a feature: it is no number, or not one for float32."""
    try:
        value = read(text.encode())
    except ValueError:
        return f"{shown(text)} is not a number"
    return fault_of_number(value)


def fault_of_date(text: str, form: str | None) -> str | None:
    """Why ``text`` is no date of that format."""
    try:
        seconds(text, form)
    except ValueError:
        known = how_written(text) if looks_like_date(text) else ""
        way_out = f": {known}" if known else ""
        if form is not None:
            return f"{shown(text)} is no date of the format {form}{way_out}"
        return f"{shown(text)} is no date such as 2024-05-31 or 2024-05-31 17:30:00{way_out}"
    return None


def fault_of_number(value: float) -> str | None:
    if not math.isfinite(value):
        return f"{value} is not finite"
    return None if abs(value) < TOO_LARGE else f"{value} does not fit float32, which ends at 3.4e38"


def truth(written: object) -> bool | None:
    """The truth value that is meant: by True, "true" or "FALSE", but not by 1."""
    if isinstance(written, str):
        return _TRUTHS.get(written.lower())
    return written if isinstance(written, bool) else None


def target_number(text: str) -> float | None:
    """A target as a number, if it is one; truth values are 1 and 0."""
    try:
        return number(text.encode())
    except ValueError:
        meant = truth(text)
        return None if meant is None else float(meant)


def fault_of_target(
    text: str, needs_number: str = "", missing: Collection[str] = MISSING_WORDS
) -> str | None:
    """Why ``text`` cannot be a target: ``missing``, no usable number, or a name.

    Names can be targets unless a number is needed, because of what ``needs_number`` says.
    """
    if not text or text in missing:
        return "the target is missing" + (f", it is {text!r}" if text else "")
    try:
        value = number(text.encode())
    except ValueError:
        if not needs_number or truth(text) is not None:
            return None
        return f"the target {shown(text)} is not a number, {needs_number}"
    fault = fault_of_number(value)
    return None if fault is None else f"the target {fault}"


def objects(texts: Sequence[str]) -> Objects:
    """An array of ``str`` that takes no more for all than for the longest alone."""
    array: npt.NDArray[Any] = np.empty(len(texts), np.object_)
    array[:] = texts
    return array


def to_float32(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """``values`` rounded; infinite where float32 cannot hold them."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32)
