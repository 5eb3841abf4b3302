"""What the columns of a text table hold, counted over its rows: what they are follows from it.

Counts do not depend on the order of the rows, and nothing else decides what a column is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from distbelief.app.datasets.examples.checks import FEW_KINDS, NEARLY_ALL
from distbelief.app.datasets.examples.column import CATEGORICAL, DATE, NUMERIC
from distbelief.app.datasets.reading.cells import Cells
from distbelief.app.datasets.reading.dates import looks_like_date, seconds
from distbelief.app.datasets.reading.distinct import Distinct
from distbelief.app.datasets.reading.notation import Notation
from distbelief.app.datasets.reading.values import shown

#: Numbers in the writing of another country or program: 1.234,5 or 1,234 or $12.50 or 45 %.
ANOTHER_WRITING = "numbers in another writing"
_OTHER_NUMBER = re.compile(
    r"[+-]?[$€£¥]? ?(?:[0-9]+|[0-9]{1,3}(?:[ .,'_\u00a0\u202f][0-9]{3})+)(?:[.,][0-9]*)? ?[%$€£¥]?"
)

#: Why nobody wants a column.
COUNTS, DIFFERS = "it counts the rows", "it has a different value in each row"

#: Rows from which on it says something that a value is in each of them another one.
FEW_ROWS = 10

_TOGETHER = 256  # columns of a wide table that are read at once

_ID = re.compile(
    r"(?:.*[^a-z])?(?:id|ids|uuid|guid|index|idx|row|rowid|rownum|row_?number|key|nr)",
    re.IGNORECASE,
)
_CAMEL_ID = re.compile(r".*[a-z](?:Id|ID|Key|Index)")
_UNNAMED = re.compile(r"Unnamed: [0-9]+(?:\.[0-9]+)?")


@dataclass(frozen=True)
class Guess:
    """What a column seems to be.

    Attributes:
        kind: numeric, categorical, date or :data:`ANOTHER_WRITING`.
        example: one of its values.
        unwanted: why nobody wants it as a feature; empty if somebody may.
        remark: what its user should know.
        are_labels: whether they may be names of classes, as targets.
    """

    kind: str
    example: str = ""
    unwanted: str = ""
    remark: str = ""
    are_labels: bool = True


#: A column of numbers without anything to say of it.
PLAIN = Guess(NUMERIC)

Float64s = npt.NDArray[np.float64]


@dataclass
class ColumnSurvey:
    """Counts of the values of one column.

    ``counts_rows`` says that it is 0, 1, 2, ... or from 1 on; ``several`` are some different
    numbers in another writing.
    """

    notation: Notation
    date_format: str | None = None
    missing: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    several: set[bytes] = field(default_factory=set)
    distinct: Distinct = field(default_factory=Distinct)
    counts_rows: bool = True
    _next: float | None = None

    def add(self, cells: Cells, position: int) -> None:
        """Take its values in the next rows."""
        try:
            numbers = cells.numbers([position])[:, 0]
        except ValueError:
            self._add_texts(cells.texts(position))
        else:
            self.add_numbers(numbers)

    def add_numbers(self, values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
        """Take its values in the next rows, NaN where one is missing."""
        gone = int(np.isnan(values).sum())
        self.missing += gone
        self.kinds[NUMERIC] += len(values) - gone
        if gone or not (values == np.floor(values)).all():
            self.is_no_counter()
        else:
            self.add_whole(values)

    def add_whole(self, values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
        """Take values that are whole numbers, which are counted elsewhere."""
        if self.distinct.holds:
            self.distinct.add(values.tolist())
        if self.counts_rows and len(values):
            start = values[0] if self._next is None else self._next
            self.counts_rows = bool((values == start + np.arange(len(values))).all())
            self.counts_rows &= self._next is not None or start in (0, 1)
            self._next = float(values[-1]) + 1

    def begin_file(self) -> None:
        """The next rows are the first ones of another file, which may count its own."""
        self._next = None

    def _add_texts(self, texts: Iterable[bytes]) -> None:
        found = self.notation.categories(texts)
        self.counts_rows = False
        for text, n in Counter(found).items():
            kind = _kind(text, self.notation, self.date_format)
            if kind:
                self.kinds[kind] += n
                self.examples.setdefault(kind, text.decode())
                if kind == ANOTHER_WRITING and len(self.several) < FEW_KINDS:
                    self.several.add(text)
            else:
                self.missing += n
                self.distinct.forget()
        self.distinct.add(found)

    def is_no_counter(self) -> None:
        """Note that it neither counts the rows nor tells them apart."""
        self.counts_rows = False
        self.distinct.forget()

    @property
    def kind(self) -> str:
        """What nearly all values are; categories if there is no such thing."""
        n = self.kinds.total()
        for kind in (NUMERIC, DATE):
            if self.kinds[kind] >= NEARLY_ALL * n:
                return kind
        writings = self.kinds[NUMERIC] + self.kinds[ANOTHER_WRITING]
        return ANOTHER_WRITING if writings >= NEARLY_ALL * n else CATEGORICAL

    def guess(self, name: str, position: int) -> Guess:
        """What the column seems to be, by its name and by what it holds."""
        kind = self.kind
        example = self.examples.get(kind, "")
        if kind == ANOTHER_WRITING and len(self.several) >= FEW_KINDS:
            return Guess(kind, example, are_labels=False)
        counted = self.kinds[NUMERIC] if kind == NUMERIC and self.counts_rows else 0
        if _UNNAMED.fullmatch(name) and counted > 1:
            return Guess(kind, example, COUNTS)
        if not name and position == 0 and counted >= FEW_ROWS:
            return Guess(kind, example, COUNTS)
        if not self.distinct.holds or self.distinct.n_rows < FEW_ROWS:
            return Guess(kind, example, "", self._mixed(kind))
        if kind == CATEGORICAL or (kind == NUMERIC and is_id(name)):
            return Guess(kind, example, DIFFERS)
        return Guess(kind, example, "", DIFFERS if kind == NUMERIC else "")

    def _mixed(self, kind: str) -> str:
        numbers, n = self.kinds[NUMERIC], self.kinds.total()
        if kind != CATEGORICAL or 2 * numbers < n:
            return ""
        other = self.examples.get(CATEGORICAL) or next(iter(self.examples.values()), "")
        return f"{numbers:,} of its {n:,} values are numbers, others are not: {shown(other)}"


class Survey:
    """The columns of some rows.

    A table may have hundreds of thousands of columns, nearly all of them of numbers: these are
    counted together, and one by one only those that may count the rows or tell them apart.
    """

    def __init__(self, width: int, notation: Notation, date_format: str | None) -> None:
        self._width = width
        self._options = notation, date_format
        self._columns = dict[int, ColumnSurvey]()
        self._numbers = np.zeros(width, np.int64)
        self._missing = np.zeros(width, np.int64)
        self._may_count = np.ones(width, np.bool_)

    def guesses(self, names: Sequence[str]) -> list[Guess]:
        """What each column seems to be, by its name as well."""
        self._bring_together()
        found = [PLAIN] * self._width
        for i, column in self._columns.items():
            found[i] = column.guess(names[i], i)
        return found

    def has_gaps(self, column: int) -> bool:
        """Whether a value of the column is missing."""
        alone = self._columns.get(column)
        return bool(self._missing[column] or (alone is not None and alone.missing))

    def _bring_together(self) -> None:
        """Tell the columns that are counted one by one what was counted together."""
        for i, column in self._columns.items():
            column.kinds[NUMERIC] += int(self._numbers[i])
            column.missing += int(self._missing[i])
            self._numbers[i] = self._missing[i] = 0
            if not self._may_count[i]:
                column.is_no_counter()

    def begin_file(self) -> None:
        """The next rows are those of another file."""
        for column in self._columns.values():
            column.begin_file()

    def add(self, cells: Cells) -> None:
        """Take the next rows."""
        step = _TOGETHER if self._width > _TOGETHER else 1
        for start in range(0, self._width, step) if len(cells) else ():
            self._add(cells, range(start, min(start + step, self._width)))

    def _add(self, cells: Cells, columns: range) -> None:
        """Take some columns, together if all of them hold numbers."""
        try:
            numbers = cells.numbers(columns) if len(columns) > 1 else None
        except ValueError:
            numbers = None
        if numbers is not None:
            self._add_numbers(columns, numbers)
            return
        for i in columns:
            self._alone(i).add(cells, i)

    def _add_numbers(self, columns: range, numbers: Float64s) -> None:
        some = slice(columns.start, columns.stop)
        gone = np.isnan(numbers).sum(axis=0)
        self._missing[some] += gone
        self._numbers[some] += len(numbers) - gone
        self._may_count[some] &= (numbers == np.floor(numbers)).all(axis=0)  # false for NaN
        for i in (np.flatnonzero(self._may_count[some]) + columns.start).tolist():
            column = self._alone(i)
            column.add_whole(numbers[:, i - columns.start])
            self._may_count[i] = column.counts_rows or column.distinct.holds

    def _alone(self, i: int) -> ColumnSurvey:
        """A column that is counted one by one, from now on."""
        if i not in self._columns:
            self._columns[i] = ColumnSurvey(*self._options)
        return self._columns[i]


def is_id(name: str) -> bool:
    """Whether a column is called as those are that tell rows apart."""
    return bool(_ID.fullmatch(name) or _CAMEL_ID.fullmatch(name))


def _kind(text: bytes, notation: Notation, date_format: str | None) -> str:
    """The kind of one value; empty if it is missing."""
    if notation.is_missing(text):
        return ""
    try:
        notation.number(text)
    except ValueError:
        pass
    else:
        return NUMERIC
    written = text.decode()
    if date_format is not None:
        try:
            seconds(written, date_format)
        except ValueError:
            pass
        else:
            return DATE
    if looks_like_date(written):
        return DATE
    return ANOTHER_WRITING if _OTHER_NUMBER.fullmatch(written) else CATEGORICAL
