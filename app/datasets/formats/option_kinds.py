"""Kinds of options: what a given value must be, and the one that is used for it."""

from __future__ import annotations

import codecs
import csv
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from distbelief.app.datasets.reading.delimiters import BLANKS
from distbelief.app.errors import DataError
from distbelief.app.settings.sections import Scalar

#: What may stand for a number that is missing, besides a number.
MISSING_CHOICES = ("mean", "median", "error")


@dataclass(frozen=True)
class FormatOption:
    """An option of a format: its default, and the check from a given value to the used one."""

    default: Any
    check: Callable[[Scalar], Any]
    allowed: str


def whole(lowest: int, highest: int, default: int | None) -> FormatOption:
    def check(value: Scalar) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
            raise ValueError
        return value

    return FormatOption(default, check, f"a whole number from {lowest} to {highest}")


def number(value: Scalar) -> float:
    if isinstance(value, bool | str) or not math.isfinite(value) or abs(value) > 3.4e38:
        raise ValueError
    return float(value)


def missing(value: Scalar) -> float | str:
    return str(value) if value in MISSING_CHOICES else number(value)


def words(value: Scalar) -> tuple[str, ...]:
    return columns(str(value) if not isinstance(value, bool) else value)


def punctuation(value: Scalar) -> str:
    if not isinstance(value, str) or len(value) != 1 or value not in ".,;' _":
        raise ValueError
    return value


def units(value: Scalar) -> str:
    """Signs of currencies, percent and the like: nothing that a number is written with."""
    found = "".join(str(value).split())
    if isinstance(value, bool) or any(c.isalnum() or c in "+-.,;'_\"\0" for c in found):
        raise ValueError
    return found


def date_format(value: Scalar) -> str:
    if not isinstance(value, str) or "%" not in value:
        raise ValueError
    return value


def choice(default: Any, **choices: Any) -> FormatOption:
    def check(value: Scalar) -> Any:
        try:
            return choices[str(value).lower()]
        except KeyError:
            raise ValueError from None

    return FormatOption(default, check, " or ".join(choices))


def delimiter(value: Scalar) -> str:
    if value == BLANKS:
        return BLANKS
    character = "\t" if value in ("tab", "\\t") else value
    if not isinstance(character, str) or len(character) != 1 or character in '"\r\n\0':
        raise ValueError
    return character


def encoding(value: Scalar) -> str:
    """Python's own name, so that there is one for each."""
    try:
        found = codecs.lookup(str(value)).name
        codecs.getincrementaldecoder(found)().decode("0".encode(found))
    except (LookupError, TypeError, UnicodeError):  # there is none, or it is not one of text
        raise ValueError from None
    return found


def comment(value: Scalar) -> str:
    if not isinstance(value, str) or not value.strip() or set(value) & set('\r\n\0"'):
        raise ValueError
    return value.strip()


def column(value: Scalar) -> str:
    if isinstance(value, bool | float):
        raise ValueError
    return str(value)


def columns(value: Scalar) -> tuple[str, ...]:
    # as a line of a CSV file, so that a name may have a comma in it
    return tuple(name.strip() for name in next(csv.reader([column(value)]), []))


@dataclass(frozen=True)
class NumberOption:
    """An option that is a number, with its lowest value; a default of None leaves it out."""

    kind: type[int] | type[float]
    default: int | float | None
    lowest: int

    def check(self, label: str, value: object) -> int | float:
        """``value`` as ``kind``; DataError names ``label`` when it is none, or too small."""
        if isinstance(value, bool) or not isinstance(value, int | self.kind):
            kind = "a whole number" if self.kind is int else "a number"
            raise DataError(f"{label} must be {kind}, got {value!r}")
        if not self.lowest <= value < math.inf:
            raise DataError(f"{label} must be finite and at least {self.lowest}, got {value!r}")
        return self.kind(value)
