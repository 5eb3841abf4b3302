"""How a file writes numbers, and that one is missing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from distbelief.app.datasets.reading.decimals import Positions, number

#: What stands where a value is missing, unless the option says otherwise. An empty field is
#: missing in any case.
MISSING_WORDS = ("NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?", "-")

#: Stand for the characters that are no plain number's, so that all keep their positions.
_GROUPS, _FOREIGN = b"\x01", b"\x02"
_GROUPED = re.compile(rb"[+-]?[0-9]{1,3}(?:\x01[0-9]{3})+(?:\.[0-9]*)?")

#: Truth values are numbers, in any case of letters; a bare 1 is one anyway.
_TRUTHS = {b"true": 1.0, b"false": 0.0}
_OF_TRUTHS = np.frombuffer(b"tTfF", np.uint8)

#: What a byte says at the beginning of a field: a digit, a sign or point, or something else.
_DIGIT, _SIGN, _OTHER = 0, 1, 2
_KINDS = np.full(256, _OTHER, np.uint8)
_KINDS[list(b"+-.")] = _SIGN
_KINDS[list(b"0123456789")] = _DIGIT

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Notation:
    """The notation of one file.

    Attributes:
        words: what stands where a value is missing, besides nothing.
        decimal: the character before the fraction.
        thousands: the character between groups of three digits; empty if there is none.
        units: characters beside numbers that are passed over.
    """

    words: tuple[str, ...] = MISSING_WORDS
    decimal: str = "."
    thousands: str = ""
    units: str = ""

    @cached_property
    def missing(self) -> frozenset[bytes]:
        return frozenset({b"", *(word.strip().encode() for word in self.words)})

    @cached_property
    def missing_numbers(self) -> tuple[float, ...]:
        """Words that are numbers: 999, wherever one is written, and then 999.0, too."""
        found = []
        for word in self.words:
            try:
                found.append(self._plain_number(self.plain(word.strip().encode())))
            except ValueError:
                continue
        return tuple(value for value in found if value == value)

    @property
    def nan_is_missing(self) -> bool:
        return any(word.lower() == "nan" for word in self.words)

    def is_missing(self, text: bytes) -> bool:
        """Whether nothing is there, as far as one field says; it may have blanks around it."""
        text = text.strip()
        if text in self.missing:
            return True
        if not self.missing_numbers:
            return False
        try:
            return self.number(text) in self.missing_numbers
        except ValueError:
            return False

    def number(self, text: bytes) -> float:
        """The number or truth value that a field holds; ValueError if it is none."""
        return self.read(self.plain(text))

    def plain(self, content: bytes) -> bytes:
        """``content`` of the same length in which numbers are written as Python does."""
        for unit in map(str.encode, self.units):
            content = content.replace(unit, b" " * len(unit))
        return content.translate(self._table) if self._table else content

    def read(self, text: bytes) -> float:
        """As :meth:`number`, out of what :meth:`plain` gave."""
        meant = _TRUTHS.get(text.strip().lower())
        return self._plain_number(text) if meant is None else meant

    def _plain_number(self, text: bytes) -> float:
        if _GROUPS not in text:
            return number(text)
        text = text.strip()
        if not _GROUPED.fullmatch(text):
            raise ValueError("digits are not in groups of three")
        return number(text.replace(_GROUPS, b""))

    def label(self, text: str) -> str:
        """A target: a number in this notation as Python writes it, anything else as it is."""
        if not self._table and not self.units:
            return text
        try:
            self.number(text.encode())
        except ValueError:
            return text
        return self.plain(text.encode()).replace(_GROUPS, b"").decode().strip()

    def given(
        self, content: bytes, first: Bytes, starts: Positions, ends: Positions
    ) -> npt.NDArray[np.bool_]:
        """For each stretch of ``content`` whether a value is there, as far as words tell.

        ``first`` are the bytes where they start.
        """
        there = np.ones(len(first), np.bool_)
        odd = np.flatnonzero(_KINDS[first])
        if not len(odd):
            return there
        lengths = ends[odd] - starts[odd]
        there[odd[lengths <= 0]] = False
        words = odd[(lengths > 0) & ((_KINDS[first[odd]] == _OTHER) | (lengths == 1))]
        for i in words.tolist():
            there[i] = content[starts[i] : ends[i]].strip() not in self.missing
        return there

    def categories(self, texts: Iterable[bytes]) -> list[bytes]:
        """Texts without blanks around them; empty where one is missing."""
        stripped = list(map(bytes.strip, texts))
        if self.missing.isdisjoint(stripped):
            return stripped
        return [b"" if text in self.missing else text for text in stripped]

    @cached_property
    def _table(self) -> bytes:
        """For :meth:`plain`; empty if nothing is to be done."""
        if (self.decimal, self.thousands) == (".", ""):
            return b""
        table = bytearray(range(256))
        table[ord(".")] = _FOREIGN[0]
        if self.thousands:
            table[ord(self.thousands)] = _GROUPS[0]
        table[ord(self.decimal)] = ord(".")
        return bytes(table)


def begin_like_numbers(firsts: Bytes) -> int:
    """How many of the fields that begin with these bytes begin as numbers, dates and truths do."""
    return int(((_KINDS[firsts] != _OTHER) | np.isin(firsts, _OF_TRUTHS)).sum())
