"""The fields of some rows of a CSV file, column by column.

``PlainCells`` are where delimiters and line ends say, without ever being single objects:
several times faster, where nothing is quoted. ``RowCells`` come from the csv module.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Protocol

import numpy as np

from distbelief.app.datasets.reading.decimals import Content, Float64s, Positions
from distbelief.app.datasets.reading.notation import Notation, begin_like_numbers
from distbelief.app.datasets.reading.values import TOO_LARGE

#: Longest field that the csv module takes, in characters.
LONGEST_FIELD = 131_072


class Cells(Protocol):
    def __len__(self) -> int:
        """Number of rows."""
        ...

    def numbers(self, columns: Sequence[int], *, exact: bool = False) -> Float64s:
        """Columns of numbers, shape (n_rows, n_columns), NaN where one is missing.

        They round to the float32 nearest to what is written; with ``exact`` they are the
        nearest float64.

        Raises:
            ValueError: one is something else, or not finite in float32.
        """
        ...

    def texts(self, column: int) -> Iterable[bytes]:
        """A column as UTF-8."""
        ...

    def like_numbers(self, column: int) -> int:
        """How many fields of a column begin as numbers and dates do."""
        ...


class PlainCells:
    """Fields of lines without quotes.

    Raises:
        ValueError: the lines are not that simple, or of another width.
    """

    def __init__(self, content: bytes, delimiter: str, width: int, notation: Notation) -> None:
        content = content.replace(b"\r\n", b"\n")
        if not content.endswith(b"\n"):
            content += b"\n"
        if b"\r" in content or b"\n\n" in content or content.startswith(b"\n"):
            raise ValueError("blank or broken lines")
        text = np.frombuffer(content, np.uint8)
        is_end = text == ord("\n")
        breaks = np.flatnonzero(is_end | (text == ord(delimiter)))
        self._content = content
        self._notation = notation
        self._read = Content(notation.plain(content), notation.read)
        self._ends: Positions = breaks.reshape(-1, width)
        if not is_end[self._ends[:, -1]].all() or is_end.sum() != len(self._ends):
            raise ValueError("too few or too many columns")
        self._starts: Positions = np.append(0, breaks[:-1] + 1).reshape(-1, width)
        if (self._ends - self._starts).max() > LONGEST_FIELD:
            raise ValueError("a field is too long")

    def __len__(self) -> int:
        return len(self._ends)

    def numbers(self, columns: Sequence[int], *, exact: bool = False) -> Float64s:
        starts, ends = self._starts[:, columns], self._ends[:, columns]
        places = starts.ravel(), ends.ravel()
        found = _numbers(self._read, self._content, *places, self._notation, exact)
        return found.reshape(starts.shape)

    def texts(self, column: int) -> Iterable[bytes]:
        content = self._content
        pairs = zip(self._starts[:, column].tolist(), self._ends[:, column].tolist(), strict=True)
        return [content[start:end] for start, end in pairs]

    def like_numbers(self, column: int) -> int:
        return begin_like_numbers(self._read.bytes_at(self._starts[:, column]))


class RowCells:
    """Fields of rows, all of one width.

    Raises:
        ValueError: the rows have another width.
    """

    def __init__(self, rows: Sequence[Sequence[str]], width: int, notation: Notation) -> None:
        self._n_rows = len(rows)
        self._notation = notation
        self._columns: list[Sequence[str]] = list(zip(*rows, strict=True)) or [()] * width
        if len(self._columns) != width:
            raise ValueError("too few or too many columns")

    @classmethod
    def of_columns(cls, columns: Sequence[Sequence[str]], notation: Notation) -> RowCells:
        """Fields that lie column by column, none of which has a NUL in it."""
        cells = cls([], len(columns), notation)
        cells._columns = list(columns)
        cells._n_rows = len(columns[0])
        return cells

    def __len__(self) -> int:
        return self._n_rows

    def numbers(self, columns: Sequence[int], *, exact: bool = False) -> Float64s:
        shape = len(columns), len(self)
        if not columns or not len(self):
            return np.empty(shape[::-1])
        content, starts, ends = _joined(chain.from_iterable(self._columns[i] for i in columns))
        read = Content(self._notation.plain(content), self._notation.read)
        values = _numbers(read, content, starts, ends, self._notation, exact)
        return np.ascontiguousarray(values.reshape(shape).T)

    def texts(self, column: int) -> Iterable[bytes]:
        return map(str.encode, self._columns[column])

    def like_numbers(self, column: int) -> int:
        content, starts, _ = _joined(self._columns[column])
        return begin_like_numbers(Content(content).bytes_at(starts))


def _joined(fields: Iterable[str]) -> tuple[bytes, Positions, Positions]:
    """Fields one after another, and where each begins and ends; no field has a NUL in it."""
    content = "\0".join(fields).encode()
    ends = np.append(np.flatnonzero(np.frombuffer(content, np.uint8) == 0), len(content))
    return content, np.append(0, ends[:-1] + 1), ends


def _numbers(
    found: Content,
    content: bytes,
    starts: Positions,
    ends: Positions,
    notation: Notation,
    exact: bool,
) -> Float64s:
    first = found.bytes_at(starts)
    if (blank := first == ord(" ")).any():  # as after "1, 2"
        starts = starts + (blank & (starts < ends))
        first = found.bytes_at(starts)
    given = notation.given(content, first, starts, ends)
    if given.all():
        values = numbers = found.doubles(starts, ends, exact=exact)
    else:
        values = np.full(len(ends), np.nan)
        values[given] = numbers = found.doubles(starts[given], ends[given], exact=exact)
    if len(numbers) and not (numbers.min() > -TOO_LARGE and numbers.max() < TOO_LARGE):
        raise ValueError("a number is not finite")
    if notation.missing_numbers:
        values[np.isin(values, notation.missing_numbers)] = np.nan
    return values
