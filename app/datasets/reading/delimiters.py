"""What stands between two fields of a line: guessed where all lines agree, else asked for."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence

from distbelief.app.errors import DataError

#: Any number of blanks, as the option says it.
BLANKS = r"\s+"

CANDIDATES = (",", "\t", ";", "|")

#: Lines that are looked at, and the share of them that must have as many fields as the first.
LINES, AGREE = 200, 0.9

_NAMES = {",": "a comma", "\t": "a tab", ";": ";", "|": "|", BLANKS: "blanks"}

_QUOTED_OR_BLANKS = re.compile(rb'"[^"\n]*"|[ \t]+')
_AROUND = re.compile(rb"(?m)^ +| +(?=\r?$)")
_NUMBERS = re.compile(r"\s*[-+.\d][-+.\deE]*(\s+[-+.\d][-+.\deE]*)+\s*")
_DECIMAL = re.compile(r"\s*[-+]?\d*,\d+\s*")


def single_blanks(content: bytes) -> bytes:
    """Lines with one blank wherever there are several outside of quotes, and none around."""
    if b'"' in content:
        return _AROUND.sub(b"", _QUOTED_OR_BLANKS.sub(_one, content))
    return _AROUND.sub(b"", re.sub(rb"[ \t]+", b" ", content))


def fitting(content: bytes) -> list[str]:
    """The delimiters with which the first lines have as many fields each, two at least.

    Blanks count where nothing else does, or where anything else would leave several numbers in
    one field. A comma does not count where it is the decimal point of all numbers.
    """
    lines = content.decode(errors="replace").splitlines()[:LINES]
    lines = [line for line in lines if line.strip()]
    single = single_blanks("\n".join(lines).encode()).decode().split("\n")
    blanks = _agree(_rows(single, " "))
    rows = {each: _rows(lines, each) for each in CANDIDATES}
    found = [each for each in CANDIDATES if _agree(rows[each])]
    if blanks:
        found = [each for each in found if not _several(rows[each])]
    if "," in found and any(_all_decimal(rows[each]) for each in found if each != ","):
        found.remove(",")
    return found or ([BLANKS] if blanks else [])


def guessed(content: bytes, named: str | None, source: str) -> str:
    """The delimiter of lines; ``named`` is what the ending of the file's name says.

    Raises:
        DataError: several are possible, and the name says nothing.
    """
    found = fitting(content)
    if named is not None and (named in found or not found):
        return named
    if len(found) == 1:
        return found[0]
    names = " or ".join(_NAMES[each] for each in found) or "anything"
    raise DataError(
        f"{source}: what stands between two fields may be {names}: say with the option "
        f"delimiter (a character, tab, or {BLANKS})"
    )


def _rows(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    try:
        read = csv.reader(lines, delimiter=delimiter, skipinitialspace=delimiter != " ")
        return [row for row in read if row]
    except csv.Error:
        return []


def _agree(rows: Sequence[Sequence[str]]) -> bool:
    if not rows or len(rows[0]) < 2:
        return False
    return Counter(map(len, rows))[len(rows[0])] >= AGREE * len(rows)


def _all_decimal(rows: Sequence[Sequence[str]]) -> bool:
    """Whether all commas are in numbers."""
    fields = [field for row in rows for field in row if "," in field]
    return all(map(_DECIMAL.fullmatch, fields))


def _several(rows: Sequence[Sequence[str]]) -> bool:
    """Whether rows have a field of several numbers."""
    return sum(any(map(_NUMBERS.fullmatch, row)) for row in rows) >= AGREE * len(rows)


def _one(match: re.Match[bytes]) -> bytes:
    return match[0] if match[0].startswith(b'"') else b" "
