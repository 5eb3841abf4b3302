"""Lines of a CSV file as lists of fields, with the line numbers.

The csv module of Python says what a field is: quotes as in RFC 4180, also around line
ends. Blanks before a field do not belong to it.
"""

from __future__ import annotations

import csv
from collections.abc import Generator
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

from app.datasets.reading.lines import LINE_BYTES, blocks
from app.datasets.reading.places import Place
from app.errors import DataError

_UNFINISHED = "unexpected end of data"

#: What the csv module says, and what we say; it gives no codes.
_WORDS = {
    "field larger than field limit": "a field is longer than 131072 characters; "
    "is a quote not closed?",
    _UNFINISHED: "a quote is not closed",
    "new-line character seen in unquoted field": "there is a carriage return within the line",
    "expected after": "text follows a closing quote",
}


@dataclass
class Records:
    """Fields of some consecutive lines.

    Attributes:
        rows: the fields of each line; none of a blank one.
        lines: where each row begins, from 1.
        faults: numbers of lines that are no rows, and why.
        position: bytes of the file, as it is stored, that were read so far.
    """

    rows: list[list[str]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    faults: list[tuple[int, str]] = field(default_factory=list)
    position: int = 0


def records(place: Place, delimiter: str) -> Generator[Records, None, None]:
    """All lines of a file; a quoted field with line ends in it is counted where it begins.

    Raises:
        DataError: the file cannot be read, or a line is too long.
    """
    dialect = {"delimiter": delimiter, "strict": True, "skipinitialspace": delimiter != " "}
    left, first = b"", 1
    for block in blocks(place):
        content = left + block.content
        found = Records(position=block.position)
        if not _read_plainly(content, first, dialect, found):
            found = Records(position=block.position)
            end = _read_carefully(content, first, dialect, found, block.last)
        else:
            end = len(content)
        left = content[end:]
        if len(left) > LINE_BYTES:
            raise DataError(
                f"{place.name}: line {first}: this row is longer than {LINE_BYTES >> 20} MB"
            )
        first += content.count(b"\n", 0, end)
        yield found


def _read_plainly(content: bytes, first: int, dialect: dict[str, Any], found: Records) -> bool:
    """Read lines without any quotes; False if there are some, or anything is wrong."""
    if b'"' in content or b"\0" in content:
        return False
    try:
        found.rows = list(csv.reader(StringIO(content.decode(), newline="\n"), **dialect))
    except (UnicodeDecodeError, csv.Error):
        return False
    found.lines = list(range(first, first + len(found.rows)))
    return True


def _read_carefully(
    content: bytes, first: int, dialect: dict[str, Any], found: Records, last: bool
) -> int:
    """Read lines one by one; returns how many bytes of ``content`` these are.

    What is left begins with a quote that is closed further on, if anywhere.
    """
    lines = _split(content)
    start = 0
    while start < len(lines):
        stop, texts = start, []
        while stop < len(lines) and not _fault_of_bytes(lines[stop]):
            texts.append(lines[stop].decode())
            stop += 1
        used = _read_run(texts, first + start, dialect, found, last or stop < len(lines))
        if used < len(texts):
            return sum(map(len, lines[: start + used]))
        if stop < len(lines):
            found.faults.append((first + stop, _fault_of_bytes(lines[stop])))
        start = stop + 1
    return len(content)


def _read_run(
    texts: list[str], first: int, dialect: dict[str, Any], found: Records, final: bool
) -> int:
    """Read lines of proper text; returns how many, all of them where they are the ``final``."""
    start = 0
    while start < len(texts):
        reader = csv.reader(texts[start:], **dialect)
        begun = start
        try:
            for row in reader:
                found.rows.append(row)
                found.lines.append(first + begun)
                begun = start + reader.line_num
            return len(texts)
        except csv.Error as error:
            if not final and _UNFINISHED in str(error):
                return begun
            found.faults.append((first + begun, _words(error)))
            start = begun + 1  # the quote that was wrong may have swallowed good lines
    return len(texts)


def _split(content: bytes) -> list[bytes]:
    """Lines with their ends, as editors count them."""
    pieces = content.split(b"\n")
    lines = [piece + b"\n" for piece in pieces[:-1]]
    return [*lines, pieces[-1]] if pieces[-1] else lines


def _fault_of_bytes(line: bytes) -> str:
    """Why a line is no text; empty if it is."""
    if b"\0" in line:
        return "there is a NUL byte, this is not text"
    try:
        line.decode()
    except UnicodeDecodeError as error:
        return f"this is not UTF-8 text: {error.reason} after {error.start} bytes"
    return ""


def _words(error: csv.Error) -> str:
    return next((ours for theirs, ours in _WORDS.items() if theirs in str(error)), str(error))
