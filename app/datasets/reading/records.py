"""Lines of a CSV file as lists of fields, with the line numbers.

The csv module of Python says what a field is: quotes as in RFC 4180, also around line
ends. Blanks before a field do not belong to it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Generator, Sequence
from typing import Any

from distbelief.app.datasets.reading.delimiters import BLANKS, single_blanks
from distbelief.app.datasets.reading.files import DataFile
from distbelief.app.datasets.reading.lines import LINE_BYTES, blocks
from distbelief.app.datasets.reading.text import Text, fault_of_bytes
from distbelief.app.errors import DataError

_UNFINISHED = "unexpected end of data"

#: What the csv module says, and what we say; it gives no codes.
_WORDS = {
    "field larger than field limit": "a field is longer than 131072 characters; "
    "is a quote not closed?",
    _UNFINISHED: "a quote is not closed",
    "new-line character seen in unquoted field": "there is a carriage return within the line",
    "expected after": "text follows a closing quote",
}

_LINE_END = re.compile(rb"(?<=[^\r\n])(?=\r?(?:\n|\Z))")


class Records:
    """Some consecutive lines; ``rows``, ``lines`` and ``faults`` are filled by ``parse``.

    Attributes:
        plain: the lines themselves, UTF-8 without quotes and NUL; None where they are not.
        rows: the fields of each line; blank lines are left out.
        lines: where each row begins, from 1.
        faults: numbers of lines that are no rows, and why.
        refused: by the number of a line its fields by column, where it is a row nobody can use.
        position: bytes of the file, as it is stored, that were read so far.
    """

    def __init__(
        self, content: bytes, first: int, form: Form, position: int, more: Sequence[str] = ()
    ) -> None:
        if plain := form.is_plain(content):
            content, more = form.lengthened(content, more)
        self.plain = content if plain else None
        self.rows: list[list[str]] = []
        self.lines: list[int] = []
        self.faults: list[tuple[int, str]] = []
        self.refused: dict[int, dict[int, str]] = {}
        self.position = position
        self._unread: bytes | None = content
        self._first = first
        self._form = form
        self._more = list(more)

    def parse(self, last: bool = True) -> int:
        """Read the lines one by one; returns how many bytes of them these are.

        What is left begins with a quote that is closed further on, if anywhere; nothing
        is left of plain lines, or of the ``last`` ones of a file.
        """
        self.plain, content, self._unread = None, self._unread, None
        if content is None:
            return 0
        lines, start = _split(content), 0
        while start < len(lines):
            stop, texts = start, []
            while stop < len(lines) and not self._form.fault_of(lines[stop]):
                texts.append(lines[stop].decode())
                stop += 1
            used = self._read(texts, self._first + start, last or stop < len(lines))
            if used < len(texts):
                return sum(map(len, lines[: start + used]))
            if stop < len(lines):
                self.faults.append((self._first + stop, self._form.fault_of(lines[stop])))
            start = stop + 1
        return len(content)

    def _read(self, texts: list[str], first: int, final: bool) -> int:
        """Read lines of proper text; returns how many, all of them where they are ``final``."""
        start = 0
        while start < len(texts):
            reader = csv.reader(texts[start:], **self._form.dialect)
            begun = start
            try:
                for row in reader:
                    if row:
                        self.rows.append(row + self._more)
                        self.lines.append(first + begun)
                    begun = start + reader.line_num
                return len(texts)
            except csv.Error as error:
                if not final and _UNFINISHED in str(error):
                    return begun
                self.faults.append((first + begun, _words(error)))
                start = begun + 1  # the quote that was wrong may have swallowed good lines
        return len(texts)


class Form:
    """What lines look like: the character between two fields, and the text."""

    def __init__(self, delimiter: str, text: Text) -> None:
        self.blanks = delimiter == BLANKS
        self.delimiter = " " if self.blanks else delimiter
        self.text = text
        self.dialect: dict[str, Any] = {
            "delimiter": self.delimiter,
            "strict": True,
            "skipinitialspace": self.delimiter != " ",
        }

    def fault_of(self, line: bytes) -> str:
        """Why a line is no text; empty if it is."""
        return fault_of_bytes(line, self.text.encoding)

    def is_plain(self, content: bytes) -> bool:
        return b'"' not in content and not self.fault_of(content)

    def lengthened(self, content: bytes, more: Sequence[str]) -> tuple[bytes, Sequence[str]]:
        """Plain lines with ``more`` fields at their ends, and what could not be put there."""
        if not more or any(set(field) & {'"', self.delimiter, "\r", "\n"} for field in more):
            return content, more
        fields = "".join(f"{self.delimiter}{field}" for field in more).encode()
        return _LINE_END.sub(lambda _: fields, content), ()


def records(file: DataFile, form: Form) -> Generator[Records, None, None]:
    """All lines of a file; a quoted field with line ends in it is counted where it begins.

    Each has the fields of the file's partition at its end.

    Raises:
        DataError: the file cannot be read, or a line is too long.
    """
    left, first = b"", 1
    more = [value for _, value in file.partition]
    for block in blocks(file, form.text):
        content = left + (single_blanks(block.content) if form.blanks else block.content)
        found = Records(content, first, form, block.position, more)
        end = len(content) if found.plain is not None else found.parse(block.last)
        left = content[end:]
        if len(left) > LINE_BYTES:
            raise DataError(
                f"{file.name}: line {first}: this row is longer than {LINE_BYTES >> 20} MB"
            )
        first += content.count(b"\n", 0, end)
        yield found


def _split(content: bytes) -> list[bytes]:
    """Lines with their ends, as editors count them."""
    pieces = content.split(b"\n")
    lines = [piece + b"\n" for piece in pieces[:-1]]
    return [*lines, pieces[-1]] if pieces[-1] else lines


def _words(error: csv.Error) -> str:
    return next((ours for theirs, ours in _WORDS.items() if theirs in str(error)), str(error))
