"""The fields of some rows of a CSV file, column by column.

``PlainCells`` are where delimiters and line ends say, without ever being single objects:
several times faster, where nothing is quoted. ``RowCells`` come from the csv module.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Protocol

import numpy as np

from distbelief.app.datasets.reading.column_plan import Float32s
from distbelief.app.datasets.reading.decimals import Content, Positions

#: Longest field that the csv module takes, in characters.
LONGEST_FIELD = 131_072


class Cells(Protocol):
    def __len__(self) -> int:
        """Number of rows."""
        ...

    def numbers(self, columns: Sequence[int], missing: float) -> Float32s:
        """Columns of numbers, shape (n_rows, n_columns), ``missing`` where one is empty.

        Raises:
            ValueError: one is something else, or not finite in float32.
        """
        ...

    def texts(self, column: int) -> Iterable[bytes]:
        """A column as UTF-8."""
        ...


class PlainCells:
    """Fields of lines without quotes.

    Raises:
        ValueError: the lines are not that simple, or of another width.
    """

    def __init__(self, content: bytes, delimiter: str, width: int) -> None:
        content = content.replace(b"\r\n", b"\n")
        if not content.endswith(b"\n"):
            content += b"\n"
        if b"\r" in content or b"\n\n" in content or content.startswith(b"\n"):
            raise ValueError("blank or broken lines")
        text = np.frombuffer(content, np.uint8)
        is_end = text == ord("\n")
        breaks = np.flatnonzero(is_end | (text == ord(delimiter)))
        self._content = content
        self._ends: Positions = breaks.reshape(-1, width)
        if not is_end[self._ends[:, -1]].all() or is_end.sum() != len(self._ends):
            raise ValueError("too few or too many columns")
        self._starts: Positions = np.append(0, breaks[:-1] + 1).reshape(-1, width)
        if (self._ends - self._starts).max() > LONGEST_FIELD:
            raise ValueError("a field is too long")

    def __len__(self) -> int:
        return len(self._ends)

    def numbers(self, columns: Sequence[int], missing: float) -> Float32s:
        starts, ends = self._starts[:, columns], self._ends[:, columns]
        return _numbers(self._content, starts.ravel(), ends.ravel(), missing).reshape(starts.shape)

    def texts(self, column: int) -> Iterable[bytes]:
        content = self._content
        pairs = zip(self._starts[:, column].tolist(), self._ends[:, column].tolist(), strict=True)
        return [content[start:end] for start, end in pairs]


class RowCells:
    """Fields of rows, all of one width.

    Raises:
        ValueError: the rows have another width.
    """

    def __init__(self, rows: Sequence[Sequence[str]], width: int) -> None:
        self._n_rows = len(rows)
        self._columns = list(zip(*rows, strict=True)) or [()] * width
        if len(self._columns) != width:
            raise ValueError("too few or too many columns")

    def __len__(self) -> int:
        return self._n_rows

    def numbers(self, columns: Sequence[int], missing: float) -> Float32s:
        shape = len(columns), len(self)
        if not columns or not len(self):
            return np.empty(shape[::-1], np.float32)
        # no field has a NUL in it
        content = "\0".join(chain.from_iterable(self._columns[i] for i in columns)).encode()
        ends = np.append(np.flatnonzero(np.frombuffer(content, np.uint8) == 0), len(content))
        starts = np.append(0, ends[:-1] + 1)
        return np.ascontiguousarray(_numbers(content, starts, ends, missing).reshape(shape).T)

    def texts(self, column: int) -> Iterable[bytes]:
        return map(str.encode, self._columns[column])


def _numbers(content: bytes, starts: Positions, ends: Positions, missing: float) -> Float32s:
    given = starts < ends
    values = np.full(len(ends), missing, np.float32)
    values[given] = Content(content).numbers(starts[given], ends[given])
    if not np.isfinite(values).all():
        raise ValueError("a number is not finite")
    return values
