"""A column of a table in memory: its values as numbers, or as the texts of a CSV file of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from distbelief.app.datasets.examples.column import CATEGORICAL, DATE
from distbelief.app.datasets.reading.cells import RowCells
from distbelief.app.datasets.reading.column_plan import Float64s
from distbelief.app.datasets.reading.dates import all_seconds
from distbelief.app.datasets.reading.distinct import Distinct
from distbelief.app.datasets.reading.notation import Notation
from distbelief.app.datasets.reading.survey import (
    DIFFERS,
    FEW_ROWS,
    ColumnSurvey,
    Guess,
)
from distbelief.app.datasets.reading.values import fault_of_date, fault_of_text

#: Types of pandas, polars and Arrow that say that a column holds categories.
_OF_CATEGORIES = ("category", "Categorical", "Enum", "dictionary")

#: Values that are no single number or text.
_NO_VALUES = (bytes, complex, list, tuple, set, dict, np.ndarray)


@dataclass(frozen=True)
class FrameColumn:
    """A column, and how its table writes numbers and dates.

    Attributes:
        values: shape (n_rows,): numbers or times of NumPy, or any objects.
        declared: the name of its type.
        notation: of its texts.
        date_format: likewise.
    """

    values: npt.NDArray[Any]
    declared: str
    notation: Notation
    date_format: str | None

    @property
    def is_of_categories(self) -> bool:
        """Whether its type says so, whatever it holds."""
        return self.declared.startswith(_OF_CATEGORIES)

    def guess(self, name: str, position: int) -> Guess:
        """What it seems to be, as a column of a CSV file would."""
        if self.is_of_categories:
            distinct = Distinct()
            distinct.add(self.texts)
            differs = distinct.holds and distinct.n_rows >= FEW_ROWS
            return Guess(CATEGORICAL, unwanted=DIFFERS if differs else "")
        if self._moments is not None:
            return Guess(DATE, next(filter(None, self.texts), ""))
        survey = ColumnSurvey(self.notation, self.date_format)
        if self._numbers is None:
            survey.add(self._cells, 0)
        else:
            given = np.where(np.isin(self._numbers, self._missing_numbers), np.nan, self._numbers)
            survey.add_numbers(given)
        return survey.guess(name, position)

    def numbers(self, *, exact: bool) -> Float64s:
        """Its numbers, NaN where one is missing; ValueError of a fault, behind its row if known."""
        if self._numbers is not None:
            return self._numbers.copy()
        if self._moments is not None:
            raise ValueError("it holds dates or times")
        try:
            return self._cells.numbers([0], exact=exact)[:, 0]
        except ValueError:
            read = self.notation.number
            self._blame(lambda text: fault_of_text(text, read))
            raise

    def seconds(self) -> Float64s:
        """Its dates and times, likewise, as seconds."""
        if self._moments is not None:
            return self._moments
        try:
            return all_seconds(self.categories, self.date_format)
        except ValueError:
            self._blame(lambda text: fault_of_date(text.strip(), self.date_format))
            raise

    @property
    def categories(self) -> list[bytes]:
        """Its texts, empty where one is missing."""
        return self.notation.categories(text.encode() for text in self.texts)

    @cached_property
    def texts(self) -> Sequence[str]:
        """As pandas writes them into a CSV file; a missing one is empty."""
        values = self.values
        if values.dtype.kind == "f" and self.declared.lower().startswith(("int", "uint")):
            return ["" if np.isnan(value) else str(int(value)) for value in values]
        if values.dtype.kind in "mM":  # whatever their unit is
            values = values.astype(f"{values.dtype.kind}8[us]")
        # A number of NumPy is written with no more digits than its type has.
        each = values if values.dtype.kind == "f" else values.tolist()
        return ["" if is_missing_value(value) else str(value) for value in each]

    def check(self) -> None:
        """Refuse what is no column of single values; ValueError says why."""
        if self.values.ndim != 1:
            raise ValueError(f"it has the shape {self.values.shape}")
        if self.values.dtype.kind in "SVc":
            raise ValueError(f"it holds {self.values.dtype}")
        if self.values.dtype.kind != "O":
            return
        for row, value in enumerate(self.values.tolist()):
            if isinstance(value, _NO_VALUES):
                raise ValueError(f"row {row} holds {type(value).__name__}")
            if isinstance(value, str) and ("\0" in value or not _is_utf8(value)):
                raise ValueError(f"row {row} holds a text that no file could hold: {value!r}")

    @cached_property
    def _numbers(self) -> Float64s | None:
        """NaN where one is missing; None unless all values are numbers of Python or NumPy."""
        if self.is_of_categories:
            return None
        if self.values.dtype.kind in "biuf":
            return self.values.astype(np.float64)
        if self.values.dtype.kind != "O":
            return None
        values = [np.nan if is_missing_value(value) else value for value in self.values.tolist()]
        if not all(isinstance(value, int | float | np.number | np.bool_) for value in values):
            return None
        try:
            return np.array(values, np.float64)
        except OverflowError:  # a whole number of more digits than any float has
            return None

    @cached_property
    def _moments(self) -> Float64s | None:
        """Seconds, NaN where one is missing; None unless all values are dates or durations."""
        values = self.values
        if values.dtype.kind == "O" and not self.is_of_categories:
            found = [None if is_missing_value(value) else value for value in values.tolist()]
            if {type(value) for value in found} <= {type(None)}:
                return None
            if not all(value is None or isinstance(value, date) for value in found):
                return None
            values = np.array([_in_utc(value) for value in found], "M8[us]")
        if values.dtype.kind not in "mM":
            return None
        micros = values.astype(f"{values.dtype.kind}8[us]")
        return np.where(np.isnat(micros), np.nan, micros.astype(np.int64) / 1e6)

    @cached_property
    def _cells(self) -> RowCells:
        return RowCells.of_columns([self.texts], self.notation)

    @property
    def _missing_numbers(self) -> tuple[float, ...]:
        return self.notation.missing_numbers

    def _blame(self, fault: Any) -> None:
        for row, text in enumerate(self.texts):
            missing = self.notation.is_missing(text.encode())
            if not missing and (why := fault(text)):
                raise ValueError(f"row {row}", why)


def frame_column(values: Any, notation: Notation, date_format: str | None) -> FrameColumn:
    """A column as its table gives it: a series of pandas or polars, a column of Arrow, an array."""
    declared = str(getattr(values, "dtype", getattr(values, "type", "")))
    if declared.startswith(_OF_CATEGORIES):
        # As an array, whole numbers with a gap would be floats, and Arrow forgets what is missing.
        if hasattr(values, "to_pylist"):
            values = values.to_pylist()
        elif declared == "category":
            values = values.astype(object)
        values = np.array([*values, None], object)[:-1]
    return FrameColumn(np.asarray(values), declared, notation, date_format)


def is_missing_value(value: Any) -> bool:
    """Whether an object of a table stands for nothing: None, NaN, NaT, pandas' NA."""
    if value is None or type(value).__name__ == "NAType":
        return True
    return not isinstance(value, str) and bool(value != value)  # NaN and NaT alone are not equal


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _in_utc(value: date | None) -> date | None:
    """For NumPy, which knows no zones."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).replace(tzinfo=None)
    return value
