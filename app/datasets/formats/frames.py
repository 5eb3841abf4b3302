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

from distbelief.app.datasets.examples.chunks import CsrRows
from distbelief.app.datasets.formats.options import Options, resolve
from distbelief.app.datasets.reading.column_plan import ColumnPlan, Float32s
from distbelief.app.datasets.reading.columns import AllColumns
from distbelief.app.datasets.reading.known_columns import plan_table
from distbelief.app.datasets.reading.use import Use
from distbelief.app.datasets.reading.values import fault_of_number, to_float32
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

    def plan(self, options: Options, use: Use) -> ColumnPlan:
        """Plan what each column is for; raises DataError."""
        settings = resolve("parquet", options, self.source)
        if use.known is None:
            settings["target"] = _NOWHERE  # targets are handed over beside the table
        texts = [i for i, name in enumerate(self.names) if _is_text(self.column(name))]
        columns = AllColumns(self.names, len(self.names), self.source)
        return plan_table(columns, texts, settings, use)

    def features(self, plan: ColumnPlan) -> Float32s | CsrRows:
        """The features that the plan makes of all rows; raises DataError."""
        n_rows = len(self.column(self.names[0]))
        dense = np.empty((n_rows, len(plan.dense)), np.float32)
        for position, column in enumerate(plan.dense):
            dense[:, position] = self._numbers(self.names[column])
        texts = [_texts(self.column(self.names[column])) for column in plan.fields]
        return plan.features(dense, texts)

    def column(self, name: str) -> Array:
        return np.asarray(self.values[name])

    def _numbers(self, name: str) -> Float32s:
        column = self.column(name)
        try:
            wide = None if column.dtype.kind not in "biufO" else column.astype(np.float64)
        except (TypeError, ValueError):
            wide = None
        if wide is None:
            raise DataError(
                f"{self.source}: column {name!r} must hold numbers, it holds {column.dtype}"
            )
        values = to_float32(wide)
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            fault = fault_of_number(float(wide[bad[0]]))
            raise DataError(f"{self.source}: row {bad[0]}: column {name!r}: {fault}")
        return values


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


def _texts(column: Array) -> list[bytes]:
    """As a CSV file would hold them; a missing one is empty."""
    return [b"" if _is_missing(value) else str(value).encode() for value in column.tolist()]


def _is_missing(value: Any) -> bool:
    return value is None or value is not value or str(value) == "<NA>"  # NaN is not itself
