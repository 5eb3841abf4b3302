"""Tables of named columns in memory: DataFrames of pandas and polars, tables of Arrow.

Nothing of these libraries is imported: a table is what has names for its columns and gives each
of them by its name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from distbelief.app.datasets.examples.chunks import Chunk
from distbelief.app.datasets.examples.column import CATEGORICAL, DATE, NUMERIC
from distbelief.app.datasets.formats.options import KNOWN, Options, resolve
from distbelief.app.datasets.reading.column_plan import ColumnPlan, Float64s
from distbelief.app.datasets.reading.columns import AllColumns
from distbelief.app.datasets.reading.dates import all_seconds
from distbelief.app.datasets.reading.distinct import Distinct
from distbelief.app.datasets.reading.known_columns import plan_table
from distbelief.app.datasets.reading.matrix import found_out, median_of
from distbelief.app.datasets.reading.notation import Notation
from distbelief.app.datasets.reading.survey import DIFFERS, FEW_ROWS, Guess, is_id
from distbelief.app.datasets.reading.tables import fault_of_unfilled, faults_of_numbers
from distbelief.app.datasets.reading.use import Use
from distbelief.app.datasets.reading.values import MISSING
from distbelief.app.errors import DataError

Array = npt.NDArray[Any]

#: The name of no column.
_NOWHERE = "\0"


@dataclass(frozen=True)
class Frame:
    """A table whose columns have names.

    Attributes:
        names: of the columns.
        values: gives a column, shape (n_rows,), by its name.
        source: what messages call it.
    """

    names: tuple[str, ...]
    values: Any
    source: str

    def read(self, options: Options, use: Use) -> tuple[ColumnPlan, Chunk]:
        """What each column is for, and the features of all rows; raises DataError."""
        settings = self._settings(options, use)
        columns = AllColumns(self.names, len(self.names), self.source)
        guesses = [] if use.by_name else self._guesses(settings)
        plan = plan_table(columns, guesses, settings, use)
        notation = Notation(settings["na"])
        dense = np.empty((len(self.column(self.names[0])), len(plan.dense)))
        for position, column in enumerate(plan.dense):
            missing = fault_of_unfilled(plan, column) if use.known is not None else None
            if settings["missing"] == "error":
                missing = MISSING
            dense[:, position] = self._numbers(column, plan, settings, missing)
        texts = [notation.categories(_texts(self.column(plan.names[i]))) for i in plan.fields]

        def read(plan: ColumnPlan) -> list[Chunk]:
            return [plan.chunk(dense, texts, None)]

        if use.known is None:
            plan = found_out(plan, read, settings, lambda i: median_of(dense[:, i], notation))
        (chunk,) = read(plan)
        return plan, chunk

    def column(self, name: str) -> Array:
        return np.asarray(self.values[name])

    def _settings(self, options: Options, use: Use) -> dict[str, Any]:
        if use.known is None:
            settings = resolve("parquet", options, self.source)
            settings["target"] = _NOWHERE  # targets are handed over beside the table
            return settings
        reading = {key: each for key, each in use.known.options.items() if key in KNOWN["parquet"]}
        return resolve("parquet", {**reading, **options}, self.source)

    def _guesses(self, settings: Mapping[str, Any]) -> list[Guess]:
        guesses = []
        for name in self.names:
            column, unwanted = self.column(name), ""
            text = _is_text(column)
            if "*" not in settings["keep"] and (
                text or (column.dtype.kind in "iu" and is_id(name))
            ):
                unwanted = DIFFERS if _differs(column) else ""
            kind = CATEGORICAL if text else DATE if column.dtype.kind in "mM" else NUMERIC
            guesses.append(Guess(kind, unwanted=unwanted))
        return guesses

    def _numbers(
        self,
        column: int,
        plan: ColumnPlan,
        settings: Mapping[str, Any],
        missing: str | None,
    ) -> Float64s:
        """A column of numbers or dates, NaN where one is missing."""
        notation = Notation(settings["na"])
        name, values = plan.names[column], self.column(plan.names[column])
        dates = column in plan.dates
        try:
            wide = _seconds(values, settings["date_format"], notation) if dates else _floats(values)
        except (TypeError, ValueError, OverflowError) as error:
            kind = "dates or times" if dates else "numbers"
            raise DataError(
                f"{self.source}: column {name!r} must hold {kind}, it holds {values.dtype}"
            ) from error
        gone = np.zeros(len(wide), np.bool_)
        faults = faults_of_numbers(wide, gone, missing, notation)
        for row, fault in sorted(faults)[:1]:
            raise DataError(f"{self.source}: row {row}: column {name!r}: {fault}")
        return wide


def frame_of(values: Any, source: str) -> Frame | None:
    """The table that ``values`` are, None if they are none, or their columns have no names.

    Raises:
        DataError: some of the names are texts, and others are not.
    """
    if isinstance(values, Frame):
        return values
    names = getattr(values, "column_names", None)  # Arrow calls the columns themselves columns
    if names is None:
        names = getattr(values, "columns", None)
    if names is None or not hasattr(values, "__getitem__"):
        return None
    found = list(names)
    texts = [isinstance(name, str) for name in found]
    if any(texts) and not all(texts):
        other = found[texts.index(False)]
        raise DataError(f"{source}: names of columns must be texts, one is {other!r}")
    return Frame(tuple(map(str, found)), values, source) if found and all(texts) else None


def named(features: Any, names: Sequence[str] | None) -> Any:
    """A dense matrix with names for its columns; as it is without names."""
    if names is None or not isinstance(features, np.ndarray):
        return features
    columns: Mapping[str, Array] = dict(zip(map(str, names), features.T, strict=True))
    return Frame(tuple(columns), columns, "X")


def _is_text(column: Array) -> bool:
    return column.dtype.kind in "OUST" and any(isinstance(value, str) for value in column)


def _differs(column: Array) -> bool:
    """Whether a column has a different value in each row."""
    distinct = Distinct()
    distinct.add(column.tolist())
    return distinct.holds and distinct.n_rows >= FEW_ROWS


def _floats(column: Array) -> Float64s:
    """Raises TypeError or ValueError if a value is no number."""
    if column.dtype.kind == "O":
        column = np.array([np.nan if _is_missing(each) else each for each in column.tolist()])
    if column.dtype.kind not in "biuf":
        raise TypeError
    return column.astype(np.float64)


def _seconds(column: Array, form: str | None, notation: Notation) -> Float64s:
    """Dates and times as seconds since 1970; raises TypeError or ValueError if one is none."""
    if _is_text(column):
        return all_seconds(notation.categories(_texts(column)), form)
    kind = "timedelta64[us]" if column.dtype.kind == "m" else "datetime64[us]"
    if column.dtype.kind not in "mMO":
        raise TypeError
    micros = column.astype(kind)
    return np.where(np.isnat(micros), np.nan, micros.astype(np.int64) / 1e6)


def _texts(column: Array) -> list[bytes]:
    """As a CSV file would hold them; a missing one is empty."""
    return [b"" if _is_missing(value) else str(value).encode() for value in column.tolist()]


def _is_missing(value: Any) -> bool:
    return value is None or value is not value or str(value) == "<NA>"  # NaN is not itself
