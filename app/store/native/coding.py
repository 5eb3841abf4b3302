"""Coding of numbers for the network by the native engine where it is built; else by the twin."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

import numpy as np

from distbelief.app.layout.tensors import Vector
from distbelief.app.settings.downpour import Wire
from distbelief.app.store.contract import coding as twin
from distbelief.app.store.contract.coding import Coded, Coder, coded_bytes
from distbelief.app.store.native import engine

_ARGUMENTS = (ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p)


def encode(wire: Wire, numbers: Vector) -> Coded:
    """As :func:`distbelief.app.store.contract.coding.encode`."""
    call = _function("distbelief_encode")
    if call is None or wire == "float32" or not numbers.flags.c_contiguous:
        return twin.encode(wire, numbers)
    coded = np.empty(coded_bytes(wire, numbers.size), np.uint8)
    call(wire.encode(), numbers.size, numbers.ctypes.data, coded.ctypes.data)
    return coded


def decode(wire: Wire, coded: Coded, out: Vector) -> None:
    """As :func:`distbelief.app.store.contract.coding.decode`."""
    call = _function("distbelief_decode")
    if call is None or wire == "float32" or not out.flags.c_contiguous:
        twin.decode(wire, coded, out)
    else:
        call(wire.encode(), out.size, coded.ctypes.data, out.ctypes.data)


NATIVE = Coder(encode, decode)


@lru_cache(maxsize=2)
def _function(name: str) -> Any:
    """A function of the engine; None where it is not built, or was for another machine."""
    library = engine()
    if library is None:
        return None
    call = getattr(library, name)
    call.argtypes, call.restype = _ARGUMENTS, ctypes.c_int
    return call
