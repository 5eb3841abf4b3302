"""Tables of named columns in memory: DataFrames of pandas and polars, tables of Arrow.

Nothing of these libraries is imported: a table is what has names for its columns and gives each
of them by its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from distbelief.app.datasets.examples.chunks import Chunk
from distbelief.app.datasets.formats.frame_columns import FrameColumn, frame_column
from distbelief.app.datasets.formats.options import IN_MEMORY_TABLE, Options, table_settings
from distbelief.app.datasets.reading.all_columns import AllColumns
from distbelief.app.datasets.reading.column_plan import ColumnPlan, Float64s
from distbelief.app.datasets.reading.known_columns import plan_table
from distbelief.app.datasets.reading.matrix import check_weights, found_out
from distbelief.app.datasets.reading.notation import Notation
from distbelief.app.datasets.reading.survey import Guess
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

    def read(
        self, options: Options, use: Use, weights: Array | None = None
    ) -> tuple[ColumnPlan, Chunk]:
        """What each column is for, and the features of all rows; raises DataError.

        What is filled in depends on the ``weights`` of the rows, if they have any.
        """
        settings = self._settings(options, use)
        all_columns = AllColumns(self.names, len(self.names), self.source)
        all_columns.check()
        named_columns = [(name, self._column(name, settings)) for name in self.names]
        columns = [column for _, column in named_columns]
        guesses: list[Guess] = []
        if not use.by_name:
            guesses = [column.guess(name, i) for i, (name, column) in enumerate(named_columns)]
        plan = plan_table(all_columns, guesses, settings, use)
        check_weights(weights, len(columns[0].values), self.source)
        dense = np.empty((len(columns[0].values), len(plan.dense)))
        texts = [columns[i].categories for i in plan.fields]

        def read(plan: ColumnPlan) -> list[Chunk]:
            for place, i in enumerate(plan.dense):
                missing = MISSING if settings["missing"] == "error" else None
                if missing is None and use.known is not None:
                    missing = fault_of_unfilled(plan, i)
                dense[:, place] = self._numbers(columns[i], plan, i, missing)
            return [plan.chunk(dense, texts, None)]

        if use.known is None:
            plan = found_out(plan, read, settings, lambda place: dense[:, place], weights)
        (chunk,) = read(plan)
        return plan, chunk

    def _column(self, name: str, settings: Mapping[str, Any]) -> FrameColumn:
        notation = Notation(*(settings[key] for key in ("na", "decimal", "thousands", "units")))
        column = frame_column(self.values[name], notation, settings["date_format"])
        try:
            column.check()
        except ValueError as error:
            raise DataError(
                f"{self.source}: column {name!r} must hold numbers, texts, or dates and times; "
                f"{error}"
            ) from error
        return column

    def _settings(self, options: Options, use: Use) -> dict[str, Any]:
        reading: Options = {} if use.known is None else use.known.options
        known = {key: each for key, each in reading.items() if key in IN_MEMORY_TABLE}
        settings = table_settings({**known, **options}, self.source)
        # Targets are handed over beside the table; one of the known name among the columns is none.
        return {**settings, "target": _NOWHERE if use.known is None else reading.get("target")}

    def _numbers(
        self, column: FrameColumn, plan: ColumnPlan, position: int, missing: str | None
    ) -> Float64s:
        """A column of numbers or dates, NaN where one is missing."""
        try:
            if position in plan.dates:
                wide = column.seconds()
            else:
                wide = column.numbers(exact=plan.is_exact)
        except ValueError as error:
            *where, fault = error.args
            title = ": ".join([self.source, *where, plan.name(position)])
            raise DataError(f"{title}: {fault}") from error
        for row, fault in sorted(faults_of_numbers(wide, np.isnan(wide), missing, column.notation)):
            raise DataError(f"{self.source}: row {row}: {plan.name(position)}: {fault}")
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
