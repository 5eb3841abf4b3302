"""Numbers that cross the network in fewer bits than they are kept in: the scripts' oracle.

The formats are in ``lua/coding.lua``. Pure: nothing here talks to a server. Where a gradient is
coded, what rounding took from it is kept and added to the next one ("error feedback": Seide et al.
2014, "1-bit SGD"; Karimireddy et al. 2019), so that all pushes of a stream together are rounded
as one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distbelief.app.errors import ServerRefused
from distbelief.app.layout.tensors import Vector
from distbelief.app.settings.downpour import Wire

Coded = npt.NDArray[np.uint8]

#: Numbers that share a scale in ``int8``, and the largest multiple of it.
GROUP, LEVELS = 256, 127


def word(wire: Wire) -> str:
    """The word for a coding in calls; as numbers are stored, whatever their type, is none."""
    return "" if wire == "float32" else wire


def check_coding(wire: Wire, dtype: np.dtype[np.floating], *, rows: bool = False) -> None:
    """Raise ServerRefused, as a shard would, for numbers that are not sent so."""
    if wire != "float32" and dtype.itemsize != 4:
        raise ServerRefused(f"{wire} is for shards of float32, these are of {dtype}")
    if wire == "int8" and rows:
        raise ServerRefused("int8 is not for rows of tables")


def coded_bytes(wire: Wire, count: int) -> int:
    """Bytes of so many float32 numbers."""
    return {
        "float32": 4 * count,
        "bfloat16": 2 * count,
        "int8": count + 4 * _groups(count),
    }[wire]


def encode(wire: Wire, numbers: Vector) -> Coded:
    """A vector of float32 in ``wire``; what is not finite is not finite afterwards."""
    match wire:
        case "bfloat16":
            return _upper_halves(numbers.view("<u4")).view(np.uint8)
        case "int8":
            return _scales_and_levels(numbers)
    return numbers.view(np.uint8)


def decode(wire: Wire, coded: Coded, out: Vector) -> None:
    """Write the numbers of ``coded`` to ``out``, a vector of float32."""
    match wire:
        case "bfloat16":
            np.left_shift(coded.view("<u2"), 16, out=out.view("<u4"), dtype=np.uint32)
        case "int8":
            scales = coded[: 4 * _groups(out.size)].view("<f4")
            levels = coded[scales.nbytes :].view(np.int8).astype(np.float32)
            with np.errstate(over="ignore", invalid="ignore"):
                np.multiply(levels, np.repeat(scales, GROUP)[: out.size], out=out)
        case _:
            out.view(np.uint8)[...] = coded


@dataclass(frozen=True)
class Coder:
    """Somebody's :func:`encode` and :func:`decode`: all give the same bits."""

    encode: Callable[[Wire, Vector], Coded]
    decode: Callable[[Wire, Coded, Vector], None]

    def rounded(self, wire: Wire, numbers: Vector) -> Vector:
        """The numbers as they arrive."""
        out = np.empty_like(numbers)
        self.decode(wire, self.encode(wire, numbers), out)
        return out

    def feed_back(self, wire: Wire, gradient: Vector, residual: Vector) -> Coded:
        """Encode a gradient and what rounding left in ``residual``, where it leaves its own.

        What does not arrive finite is refused by its shard: then ``residual`` stays.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            whole = gradient + residual
            coded = self.encode(wire, whole)
            arriving = np.empty_like(whole)
            self.decode(wire, coded, arriving)
            if np.isfinite(arriving).all():
                np.subtract(whole, arriving, out=residual)
        return coded


NUMPY = Coder(encode, decode)


def _groups(count: int) -> int:
    return -(-count // GROUP)


def _upper_halves(bits: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint16]:
    """Rounded to the nearest, ties to even; what is no number stays none."""
    high = bits >> 16
    rounded = (bits + (0x7FFF + (high & 1))) >> 16
    none = np.where(high & 0x7F == 0, high | 0x40, high)
    halves = np.where((bits & 0x7FFFFFFF) > 0x7F800000, none, rounded)
    return halves.astype("<u2")


def _scales_and_levels(numbers: Vector) -> Coded:
    groups = np.zeros((_groups(numbers.size), GROUP), np.float32)
    groups.reshape(-1)[: numbers.size] = numbers
    top = np.abs(groups).max(axis=1, initial=0)
    scales = top / np.float32(LEVELS)
    scales[~np.isfinite(top)] = np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = 1 / scales.astype(np.float64)
        levels = np.rint(groups * inverse[:, None])
    levels[~(scales > 0)] = 0
    levels = np.clip(levels, -LEVELS, LEVELS).astype(np.int8).reshape(-1)[: numbers.size]
    return np.concatenate([scales.astype("<f4").view(np.uint8), levels.view(np.uint8)])
