"""A replica's step on its own copy, by the native engine where it is built.

The bits are those of the NumPy twin, so what is trained does not depend on a compiler; only
the time does. The engine lets other threads run meanwhile.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy.typing as npt

from distbelief.app.optimizers import rule as twin
from distbelief.app.optimizers.rule import Rule, decayed
from distbelief.app.store.native import engine

_ARGUMENTS = (
    *(ctypes.c_char_p, ctypes.c_char, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p),
    *(ctypes.c_double, ctypes.c_double, ctypes.c_void_p),
)


def local_step(
    rule: Rule, gradient: npt.NDArray[Any], values: Sequence[npt.NDArray[Any]], clock: int
) -> None:
    """Apply ``rule`` in place, as :func:`distbelief.app.optimizers.rule.local_step` does."""
    step = native()
    if step is None or not all(_fits(array, gradient) for array in (gradient, *values)):
        twin.local_step(rule, gradient, values, clock)
        return
    rate, decay, *rest = rule.arguments()
    done = step(
        rule.name.encode(),
        gradient.dtype.char.encode(),
        gradient.size,
        gradient.ctypes.data,
        (ctypes.c_void_p * len(values))(*(value.ctypes.data for value in values)),
        decayed(rate, decay, clock),
        clock,
        (ctypes.c_double * len(rest))(*rest),
    )
    if done < 0:  # a rule of somebody's own
        twin.local_step(rule, gradient, values, clock)


def _fits(array: npt.NDArray[Any], gradient: npt.NDArray[Any]) -> bool:
    same = array.dtype == gradient.dtype and array.size == gradient.size
    return same and array.dtype.char in "fd" and array.flags.c_contiguous


@lru_cache(maxsize=1)
def native() -> Any:
    """The function of the engine; None where that cannot be used."""
    library = engine()
    if library is None:
        return None
    step = library.distbelief_step
    step.argtypes, step.restype = _ARGUMENTS, ctypes.c_int
    return step
