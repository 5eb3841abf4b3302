"""Decimal numbers out of bytes, many at once.

Eight digits become an integer by a dozen operations on one 64-bit word, for thousands of
numbers together: several times as fast as one call of ``float`` each. The float32 that
results is the one that ``float`` and rounding give, bit for bit. Either two integers that
float64 holds exactly are divided, which rounds once (Clinger 1990, "How to read floating
point numbers accurately"); or the error of float64 is bounded, and both ends of the range
round to the same float32. Whatever is neither, or is written otherwise, goes to ``float``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Positions = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]
Float32s = npt.NDArray[np.float32]
Float64s = npt.NDArray[np.float64]

_WORD = 8  # digits in a word
_LONGEST = 2 * _WORD  # digits that are read of an integer, and behind a point
_BATCH = 8192  # numbers at a time: the intermediate arrays stay in the processor's cache
_POWERS = 10.0 ** np.arange(_LONGEST + 1)
_EXACT = 2.0**53  # integers up to here are float64 numbers
_ERROR = 2.0**-50  # relative, of a float64 after the four roundings below; twice its bound

_ZEROS = np.uint64(0x3030303030303030)  # "00000000"
_TOP_BITS = np.uint64(0x8080808080808080)
_TO_TOP_BIT = np.uint64(0x7676767676767676)
_PAIRS = np.uint64(0x000000FF000000FF)
_WEIGHTS = np.uint64(0x000F424000000064), np.uint64(0x0000271000000001)  # 10**6, 100; 10**4, 1


class Content:
    """Bytes of which stretches are to be read as numbers.

    Args:
        content: the bytes.
        read: reads a number that is not of digits and a point alone.
    """

    def __init__(self, content: bytes, read: Callable[[bytes], float] | None = None) -> None:
        self._content = content
        self._read = read or number
        padded = bytes(_WORD) + content + b"\n"
        self._bytes = np.frombuffer(padded, np.uint8)[_WORD:]
        # word i is the eight bytes before byte i of the content, at whatever address
        shape = (len(content) + 1,)
        self._words: Words = np.ndarray(shape, np.dtype("<u8"), padded, strides=(1,))
        is_point = np.frombuffer(padded, np.uint8) == ord(".")
        self._points = np.append(np.flatnonzero(is_point[_WORD:]), len(content))

    def bytes_at(self, positions: Positions) -> npt.NDArray[np.uint8]:
        """The bytes there; behind the last one is a line end."""
        return self._bytes[positions]

    def integers(self, starts: Positions, ends: Positions) -> npt.NDArray[np.int64]:
        """Whole numbers of 1 to 16 digits and nothing else, as int64.

        Raises:
            ValueError: one is something else.
        """
        values, good = self._digits(ends, ends - starts)
        if not (good & (ends > starts)).all():
            raise ValueError("not a whole number")
        return values.astype(np.int64)

    def numbers(self, starts: Positions, ends: Positions) -> Float32s:
        """Numbers as ``float`` reads them, as float32; infinite where it cannot hold them.

        Raises:
            ValueError: one is something else, or has underscores.
        """
        with np.errstate(over="ignore"):
            return self.doubles(starts, ends).astype(np.float32)

    def doubles(self, starts: Positions, ends: Positions, *, exact: bool = False) -> Float64s:
        """Numbers that round to the float32 of :meth:`numbers`; ``exact``: those of ``float``.

        Raises:
            ValueError: one is something else, or has underscores.
        """
        values = np.empty(len(starts), np.float64)
        for start in range(0, len(starts), _BATCH):
            batch = slice(start, start + _BATCH)
            values[batch] = self._doubles(starts[batch], ends[batch], exact)
        return values

    def _doubles(self, starts: Positions, ends: Positions, exact: bool) -> Float64s:
        first = self._bytes[starts]
        negative = first == ord("-")
        values, sure = self._decimals(starts + (negative | (first == ord("+"))), ends, exact)
        values = np.where(negative, -values, values)
        if not sure.all():
            others = zip(starts[~sure].tolist(), ends[~sure].tolist(), strict=True)
            values[~sure] = [self._read(self._content[start:end]) for start, end in others]
        return values

    def _decimals(self, starts: Positions, ends: Positions, exactly: bool) -> tuple[Float64s, Mask]:
        """Values of digits with at most one point among them; where they are surely right."""
        points = np.minimum(self._points[np.searchsorted(self._points, starts)], ends)
        n_before, n_after = points - starts, np.maximum(ends - points - 1, 0)
        n_dropped = np.maximum(n_after - _LONGEST, 0)
        before, sure = self._digits(points, n_before)
        after, good = self._digits(ends - n_dropped, n_after - n_dropped)
        sure &= good & (n_before + n_after > 0)
        scale = _POWERS[n_after - n_dropped]
        mantissa = before * scale + after
        exact = mantissa <= _EXACT
        values = np.where(exact, mantissa / scale, before + after / scale)
        exact &= n_dropped == 0
        if not exact.all():
            sure &= exact if exactly else exact | self._rounds_one_way(values, ends, n_dropped)
        return values, sure

    def _rounds_one_way(self, values: Float64s, ends: Positions, n_dropped: Positions) -> Mask:
        """Whether all numbers as near as the true one round to one float32."""
        _, digits = self._digits(ends, n_dropped)
        lowest = (values * (1 - _ERROR)).astype(np.float32)
        highest = (values * (1 + _ERROR) + (n_dropped > 0) / _POWERS[-1]).astype(np.float32)
        same: Mask = digits & (lowest == highest)
        return same

    def _digits(self, ends: Positions, lengths: Positions) -> tuple[Words, Mask]:
        """Integers written by the ``lengths`` bytes before ``ends``; where at most 16 digits are.

        No bytes give 0.
        """
        low, good = self._word(ends, np.minimum(lengths, _WORD))
        if (lengths > _WORD).any():
            more = np.clip(lengths - _WORD, 0, _WORD)
            high, also = self._word(ends - np.minimum(lengths, _WORD), more)
            return high * np.uint64(10**_WORD) + low, good & also & (lengths <= _LONGEST)
        return low, good

    def _word(self, ends: Positions, lengths: Positions) -> tuple[Words, Mask]:
        """As :meth:`_digits`, of at most 8 bytes; the first digit is a word's lowest byte."""
        blank = ((_WORD - lengths) * 8).astype(np.uint64)  # a shift by 64 gives 0 in NumPy
        digits = ((self._words[ends] ^ _ZEROS) >> blank) << blank
        not_digits = (digits | (digits + _TO_TOP_BIT)) & _TOP_BITS
        pairs = digits * np.uint64(10) + (digits >> np.uint64(8))
        values = (pairs & _PAIRS) * _WEIGHTS[0]
        values += ((pairs >> np.uint64(16)) & _PAIRS) * _WEIGHTS[1]
        return values >> np.uint64(32), not_digits == 0


def number(text: bytes) -> float:
    """``float`` of ASCII, but for 1_000, which is more often a name than a number.

    Raises:
        ValueError: ``text`` is no number.
    """
    if b"_" in text:
        raise ValueError("not a number")
    return float(text)
