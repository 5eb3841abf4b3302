"""Weights of examples as files hold them: numbers from 0, one for each example."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from distbelief.app.datasets.reading.notation import Notation
from distbelief.app.datasets.reading.values import TOO_LARGE, fault_of_number, fault_of_text, shown

Float64s = npt.NDArray[np.float64]

#: The option that says where they are.
WEIGHT = "weight"

#: Of LIBSVM: there are weights if the first example has one.
AUTO = "auto"

#: Smaller ones would be 0 in float32.
TOO_SMALL = 2.0**-149

#: The fault of one that is not there.
MISSING = "the weight is missing"


def usable(values: Float64s) -> npt.NDArray[np.bool_]:
    """Which numbers can be weights; NaN, which stands for a missing one, cannot."""
    found: npt.NDArray[np.bool_] = (values == 0) | ((values >= TOO_SMALL) & (values < TOO_LARGE))
    return found


def fault_of_weight(value: float) -> str | None:
    """Why a number cannot be a weight; None if it can."""
    if value < 0:
        return f"the weight {value:g} is negative"
    if fault := fault_of_number(value):
        return f"the weight {fault}"
    if 0 < value < TOO_SMALL:
        return f"the weight {value:g} is too small for float32, which begins at 1.4e-45"
    return None


def fault_of_weight_text(text: str, notation: Notation) -> str | None:
    """Why a field cannot be a weight; None if it can."""
    if notation.is_missing(text.encode()):
        return MISSING + (f", it is {shown(text.strip())}" if text.strip() else "")
    if fault := fault_of_text(text, notation.number):
        return f"the weight {fault}"
    return fault_of_weight(notation.number(text.encode()))


def faults_of_weights(values: Float64s, gone: npt.NDArray[np.bool_]) -> list[tuple[int, str]]:
    """Numbers that cannot be weights, and why; some are ``gone``."""
    rows = np.flatnonzero(gone | ~usable(values)).tolist()
    return [(i, MISSING if gone[i] else str(fault_of_weight(float(values[i])))) for i in rows]
