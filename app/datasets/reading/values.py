"""Single values: what makes one unusable, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from distbelief.app.datasets.reading.decimals import number

Objects = npt.NDArray[np.object_]

_TOO_LARGE = 2.0**128 - 2.0**103  # from here on numbers are rounded to infinity in float32
_SHOWN = 40  # characters of a value in a message


def shown(text: str) -> str:
    """``text`` in quotes, cut to what fits a message."""
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def fault_of_text(text: str) -> str | None:
    """Why ``text`` cannot be a feature: it is no number, or not one for float32."""
    try:
        value = number(text.encode())
    except ValueError:
        return f"{shown(text)} is not a number"
    return fault_of_number(value)


def fault_of_number(value: float) -> str | None:
    if not math.isfinite(value):
        return f"{value} is not finite"
    return (
        None if abs(value) < _TOO_LARGE else f"{value} does not fit float32, which ends at 3.4e38"
    )


def fault_of_target(text: str) -> str | None:
    """Why ``text`` cannot be a target: nothing, or no usable number. Any name can be one."""
    if not text:
        return "the target is missing"
    try:
        value = number(text.encode())
    except ValueError:
        return None
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
