"""CSV files: columns of numbers, of categories, and one of targets, which are any text.

What a column is is decided by all of its values: the first block is taken for all, and the rest
is held against it while it is read (:class:`Checks`). If it was wrong, all rows are counted, and
then read again. :mod:`distbelief.app.datasets.formats.options` has what can be said about columns,
and :mod:`distbelief.app.datasets.reading.column_plan` the features that come of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from distbelief.app.datasets.examples.chunks import Chunk
from distbelief.app.datasets.examples.column import IGNORED
from distbelief.app.datasets.examples.target_facts import TargetChoice
from distbelief.app.datasets.formats.csv_lines import (
    delimiter_of,
    head_of,
    names_in,
    other_delimiters,
    with_gaps,
)
from distbelief.app.datasets.reading.all_columns import AllColumns
from distbelief.app.datasets.reading.beside import fault_of_beside, read_beside
from distbelief.app.datasets.reading.cells import Cells, PlainCells, RowCells
from distbelief.app.datasets.reading.checks import Checks
from distbelief.app.datasets.reading.column_plan import ColumnPlan, Float64s
from distbelief.app.datasets.reading.columns import guessed_columns, target_choice
from distbelief.app.datasets.reading.dates import all_seconds
from distbelief.app.datasets.reading.files import DataFile
from distbelief.app.datasets.reading.header import has_header, wanted_names
from distbelief.app.datasets.reading.known_columns import plan_table
from distbelief.app.datasets.reading.notation import Notation
from distbelief.app.datasets.reading.reader import Progress, Unsettled
from distbelief.app.datasets.reading.records import Form, Records, records
from distbelief.app.datasets.reading.survey import FEW_ROWS, Survey
from distbelief.app.datasets.reading.tables import TableReader
from distbelief.app.datasets.reading.text import Text
from distbelief.app.datasets.reading.use import Use
from distbelief.app.datasets.reading.values import fault_of_date, fault_of_text, objects
from distbelief.app.errors import DataError
from distbelief.app.settings.sections import Scalar

Rows = Sequence[Sequence[str]]


class CsvReader(TableReader):
    """Reads CSV files, which have the same columns each, and the same header or none.

    Raises:
        DataError: the first file does not say which columns there are.
    """

    form = "csv"
    unit = "line"

    def __init__(
        self,
        files: Sequence[DataFile],
        settings: Mapping[str, Any],
        progress: Progress | None,
        use: Use,
    ) -> None:
        super().__init__(files, settings, progress, use)
        text = Text.of(settings)
        self._delimiter: str = settings["delimiter"] or delimiter_of(files, text)
        self._form = Form(self._delimiter, text)
        file, head, whole = head_of(files, self._form)
        if len(head.rows[0]) == 1 and use.labelled:
            raise DataError(
                f"{file.name}: there is only one column; {other_delimiters(files, text)} "
                "(the option comment='#' or the option skip=N passes over lines without data)"
            )
        self._header = self._has_header(head.rows, file)
        names = names_in(head.rows[0], file) if self._header else ()
        if file.partition and not self._header:
            raise DataError(
                f"{file.name}: files in folders name=value must have a header, which the option "
                "header=true claims; a pattern of the files leaves the folders out"
            )
        width = len(head.rows[0])
        self._all = AllColumns(names, width, file.name)
        guessed = frozenset() if use.by_name else guessed_columns(self._all, settings)
        self._checks = Checks(self._notation, guessed)
        rows = [row for row in head.rows[self._header :] if len(row) == width]
        told = use.by_name or (not guessed and "*" in settings["keep"])
        self._settled = told or (whole and len(files) == 1)
        self._begin(rows)

    def _begin(self, rows: Rows) -> None:
        """Plan by the first rows, or by all of them if these say too little."""
        if len(rows) < FEW_ROWS and self.settle():
            return
        survey = self._survey_of(self._all.width)
        if not self._use.by_name:
            survey.add(RowCells(rows, self._all.width, self._notation))
        try:
            self._plan = self._planned(survey)
        except DataError:
            if self._settled:
                raise
            self.settle()

    @cached_property
    def _notation(self) -> Notation:
        settings = self._settings
        return Notation(*(settings[name] for name in ("na", "decimal", "thousands", "units")))

    @property
    def target(self) -> TargetChoice:
        return target_choice(self._plan, self._settings, header=bool(self._plan.names))

    @property
    def reading_options(self) -> dict[str, Scalar]:
        settings: dict[str, Scalar] = {"header": self._header, "delimiter": self._delimiter}
        settings |= self._form.text.reading_options()
        written = ("decimal", "thousands", "units", "date_format")
        settings |= {name: self._settings[name] for name in written if self._settings[name]}
        return {**settings, **super().reading_options}

    def settle(self) -> bool:
        if self._settled:
            return False
        before = getattr(self, "_plan", None)
        survey, self._settled = self._survey_of(self._all.width), True
        for file in self._files:
            header = self._header
            survey.begin_file()
            for found in records(file, self._form):
                if header:
                    found.parse()
                    header = not self._check_header(found, file)
                survey.add(self._some_cells(found))
        self._plan = self._planned(survey)
        return self._plan != before

    def holds(self) -> bool:
        return self._settled or self._checks.hold()

    def _planned(self, survey: Survey) -> ColumnPlan:
        guesses = survey.guesses(self._all.names or [""] * self._all.width)
        plan = plan_table(self._all, guesses, self._settings, self._use)
        some = [i for i in plan.dense if survey.has_gaps(i)]
        if self._settings["indicator"] and self._use.known is None:
            plan = plan.changed(some, indicator=[True] * len(some))
        left_out = (i for i, column in enumerate(plan.table) if column.kind == IGNORED)
        self._checks.begin(plan, {i: guesses[i].unwanted for i in left_out})
        return plan

    def _survey_of(self, width: int) -> Survey:
        return Survey(width, self._notation, self._settings["date_format"])

    def _some_cells(self, found: Records) -> Cells:
        """The rows of the right width."""
        try:
            return self._cells(found)
        except ValueError:
            found.parse()
            rows = [row for row in found.rows if len(row) == self._all.width]
            return RowCells(rows, self._all.width, self._notation)

    def _has_header(self, rows: Rows, file: DataFile) -> bool:
        given: bool | None = self._settings["header"]
        if given is not None:
            return given
        if self._use.by_name:
            return True
        return has_header(rows, wanted_names(self._settings), self._notation, file.name)

    def _chunks(self, file: DataFile) -> Iterator[Chunk]:
        header = self._header
        self._checks.begin_file()
        for found in records(file, self._form):
            if header:
                found.parse()
                header = not self._check_header(found, file)
            try:
                chunk = self._read(self._cells(found))
            except ValueError:
                found.parse()
                self._drop_faulty_rows(found)
                chunk = self._read(self._cells(found))
            for line, reason in sorted(found.faults):
                self._fault(file, line, reason)
            self._report(file, found.position)
            yield with_gaps(chunk, found, self._plan.passed)

    def _check_header(self, found: Records, file: DataFile) -> bool:
        """Take the header away; False if there are no lines."""
        if not found.rows:
            return False
        names = names_in(found.rows[0], file)
        if names != self._all.names:
            raise DataError(
                f"{file.name}: line {found.lines[0]}: the names of the columns must be those "
                f"of the other files, {self._all.listed()}"
            )
        del found.rows[0], found.lines[0]
        return True

    def _cells(self, found: Records) -> Cells:
        delimiter = self._form.delimiter
        if found.plain and len(delimiter.encode()) == 1:
            return PlainCells(found.plain, delimiter, self._all.width, self._notation)
        found.parse()
        return RowCells(found.rows, self._all.width, self._notation)

    def _read(self, cells: Cells) -> Chunk:
        """The examples of whole rows; ValueError if anything is wrong with one."""
        plan, notation = self._plan, self._notation
        dense = self._dense(cells)
        gaps = np.flatnonzero(np.isnan(dense).any(axis=0)).tolist()
        if any(self._fault_of_missing(plan.dense[place]) for place in gaps):
            raise ValueError("a number is missing")
        texts = [notation.categories(cells.texts(i)) for i in plan.fields]
        beside = read_beside(cells, plan, self._apart_option)
        targets = None
        if plan.target is not None:
            found = [notation.label(text.decode().strip()) for text in cells.texts(plan.target)]
            if any(map(self._fault_of_target, set(found))):
                raise ValueError("a target is missing or unusable")
            targets = objects(found)
        if not self._settled:
            self._checks.see(cells, texts)
        return plan.chunk(dense, texts, targets, beside)

    def _dense(self, cells: Cells) -> Float64s:
        """Numbers and dates, as the plan has them."""
        plan = self._plan
        if not plan.dates:
            return cells.numbers(plan.dense, exact=plan.is_exact)
        dense = np.empty((len(cells), len(plan.dense)))
        numbers = [place for place, i in enumerate(plan.dense) if i not in plan.dates]
        dense[:, numbers] = cells.numbers([plan.dense[i] for i in numbers], exact=plan.is_exact)
        for place in set(range(len(plan.dense))).difference(numbers):
            texts = self._notation.categories(cells.texts(plan.dense[place]))
            dense[:, place] = all_seconds(texts, self._settings["date_format"])
        return dense

    def _drop_faulty_rows(self, found: Records) -> None:
        good = []
        for line, row in zip(found.lines, found.rows, strict=True):
            reason = self._judged(row)
            if reason is None:
                good.append((line, row))
            else:
                found.faults.append((line, reason))
                found.refused[line] = dict(enumerate(row)) if len(row) == self._plan.width else {}
        found.lines, found.rows = [line for line, _ in good], [row for _, row in good]

    def _judged(self, row: Sequence[str]) -> str | None:
        """Why a row cannot be used; None if it can."""
        plan = self._plan
        if len(row) != plan.width:
            return f"there are {len(row)} columns, {plan.width} are needed"
        for column in plan.dense:
            if fault := self._fault_of_value(row[column], column):
                return f"{plan.name(column)}: {fault}"
        if fault := fault_of_beside(row, plan, self._apart_option, self._notation):
            return fault
        target = None if plan.target is None else self._notation.label(row[plan.target].strip())
        return None if target is None else self._fault_of_target(target)

    def _fault_of_value(self, text: str, column: int) -> str | None:
        """Why a value of a column of numbers or dates cannot be used; None if it can.

        Raises:
            Unsettled: the column may be one of categories.
        """
        if self._notation.is_missing(text.encode()):
            return self._fault_of_missing(column)
        if column in self._plan.dates:
            return fault_of_date(text.strip(), self._settings["date_format"])
        fault = fault_of_text(text, self._notation.number)
        if fault and column in self._checks.guessed:
            if not self._settled:
                raise Unsettled
            if fault.endswith("is not a number"):
                fault += (
                    ", as nearly all of its values are; the option na says what is a missing "
                    f"value, {self._all.as_category(column)}"
                )
        return fault
