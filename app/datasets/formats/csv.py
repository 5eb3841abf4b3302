"""CSV files: columns of numbers, of categories, and one of targets.

A field is missing if it is empty. Numbers are written as Python writes them, categories and
targets are any text. What can be said about the columns is in
:mod:`distbelief.app.datasets.formats.options`, and the features that come of them are in
:mod:`distbelief.app.datasets.reading.column_plan`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

from distbelief.app.datasets.examples.chunks import Chunk, Columns
from distbelief.app.datasets.examples.target_facts import TargetChoice
from distbelief.app.datasets.reading.apart import apart_values, fault_of_apart, given
from distbelief.app.datasets.reading.cells import Cells, PlainCells, RowCells
from distbelief.app.datasets.reading.columns import AllColumns, target_choice
from distbelief.app.datasets.reading.delimiters import guessed
from distbelief.app.datasets.reading.files import DataFile
from distbelief.app.datasets.reading.header import has_header, is_number
from distbelief.app.datasets.reading.known_columns import plan_table
from distbelief.app.datasets.reading.lines import blocks
from distbelief.app.datasets.reading.packing import unpacked_name
from distbelief.app.datasets.reading.reader import Progress, Reader
from distbelief.app.datasets.reading.records import Form, Records, records
from distbelief.app.datasets.reading.text import Text
from distbelief.app.datasets.reading.use import Use
from distbelief.app.datasets.reading.values import fault_of_text, objects
from distbelief.app.errors import DataError
from distbelief.app.settings.sections import Scalar

Rows = Sequence[Sequence[str]]


class CsvReader(Reader):
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
        self._delimiter: str = settings["delimiter"] or _delimiter(files, text)
        self._form = Form(self._delimiter, text)
        file, head = self._head()
        if len(head.rows[0]) == 1 and use.labelled:
            raise DataError(
                f"{file.name}: there is only one column; is the option delimiter right?"
            )
        self._header = self._has_header(head.rows, file)
        names = _names(head.rows[0], file) if self._header else ()
        if file.partition and not self._header:
            raise DataError(
                f"{file.name}: files in folders name=value must have a header, which the option "
                "header=true claims; a pattern of the files leaves the folders out"
            )
        self._all = AllColumns(names, len(head.rows[0]), file.name)
        texts = self._texts(head.rows[self._header :], self._all.width)
        self._plan = plan_table(self._all, texts, settings, use)

    @property
    def sparse(self) -> bool:
        return bool(self._plan.fields)

    @property
    def apart(self) -> bool:
        return self._plan.apart is not None

    @property
    def columns(self) -> Columns:
        return self._plan.columns

    @property
    def target(self) -> TargetChoice:
        return target_choice(self._plan, self._settings, header=bool(self._plan.names))

    @property
    def reading_options(self) -> dict[str, Scalar]:
        settings = {"header": self._header, "delimiter": self._delimiter}
        settings |= self._form.text.reading_options()
        return {**settings, "missing": self._settings["missing"], **self._plan.reading_options()}

    def _head(self) -> tuple[DataFile, Records]:
        """The first lines of the first file that has some."""
        for file in self._files:
            with closing(records(file, self._form)) as stream:
                for found in stream:
                    found.parse()
                    if found.faults and found.faults[0][0] < min(found.lines, default=2**63):
                        line, reason = found.faults[0]
                        raise DataError(f"{file.name}: line {line}: {reason}")
                    if found.rows:
                        return file, found
        raise DataError(f"{self._files[0].name}: the file is empty")

    def _has_header(self, rows: Rows, file: DataFile) -> bool:
        given: bool | None = self._settings["header"]
        if given is not None:
            return given
        if self._use.known is not None and self._use.known.features:
            return True
        keys = (
            self._settings["target"],
            *self._settings["ignore"],
            *(self._settings["categorical"] or ()),
        )
        return has_header(rows, {key for key in keys if key and not key.isdecimal()}, file.name)

    def _texts(self, rows: Rows, width: int) -> set[int]:
        """Columns that hold something else than numbers."""
        columns = zip(*(row for row in rows if len(row) == width), strict=True)
        return {
            i
            for i, column in enumerate(columns)
            if not all(field == "" or is_number(field) for field in column)
        }

    def _chunks(self, file: DataFile) -> Iterator[Chunk]:
        header = self._header
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
            yield self._with_gaps(chunk, found) if found.faults else chunk

    def _with_gaps(self, chunk: Chunk, found: Records) -> Chunk:
        """Say where rows are missing, and what they hold in the columns that come along."""
        bad = {line for line, _ in found.faults}
        lines = sorted([*found.lines, *bad])
        passed = []
        for column, texts in zip(self._plan.passed, chunk.passed, strict=True):
            good = iter(texts)
            passed.append(
                [
                    found.refused.get(n, {}).get(column, "") if n in bad else next(good)
                    for n in lines
                ]
            )
        dropped = tuple(i for i, line in enumerate(lines) if line in bad)
        return replace(chunk, dropped=dropped, passed=tuple(passed))

    def _check_header(self, found: Records, file: DataFile) -> bool:
        """Take the header away; False if there are no lines."""
        if not found.rows:
            return False
        names = _names(found.rows[0], file)
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
            return PlainCells(found.plain, delimiter, self._plan.width)
        found.parse()
        return RowCells(found.rows, self._plan.width)

    def _read(self, cells: Cells) -> Chunk:
        """The examples of whole rows; ValueError if anything is wrong with one."""
        plan = self._plan
        dense = cells.numbers(plan.dense, self._settings["missing"])
        features = plan.features(dense, [cells.texts(i) for i in plan.fields])
        passed = tuple([text.decode() for text in cells.texts(i)] for i in plan.passed)
        apart = None
        if plan.apart is not None:
            said = (text.decode() for text in cells.texts(plan.apart))
            apart = apart_values(said, self._apart_option)
        if plan.target is None:
            return Chunk(features, None, passed=passed, apart=apart)
        targets = [text.decode().strip() for text in cells.texts(plan.target)]
        if any(map(self._fault_of_target, set(targets))):
            raise ValueError("a target is missing or unusable")
        return Chunk(features, objects(targets), passed=passed, apart=apart)

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
            if row[column] and (fault := fault_of_text(row[column])):
                return f"{plan.name(column)}: {fault}"
        if plan.apart is not None and (
            fault := fault_of_apart(row[plan.apart], self._apart_option)
        ):
            return f"{plan.name(plan.apart)}: {fault}"
        return None if plan.target is None else self._fault_of_target(row[plan.target].strip())

    @property
    def _apart_option(self) -> str:
        option = given(self._settings)
        assert option is not None
        return option[0]


def _delimiter(files: Sequence[DataFile], text: Text) -> str:
    """What the name of the first file that has lines says, or else these lines."""
    for file in files:
        with closing(blocks(file, text)) as stream:
            content = next(stream).content
        if content.strip():
            return guessed(content, _named_delimiter(file), file.name)
    return ","


def _named_delimiter(file: DataFile) -> str | None:
    name = unpacked_name(file.name).lower()
    return {"csv": ",", "tsv": "\t"}.get(name.rpartition(".")[2])


def _names(row: Sequence[str], file: DataFile) -> tuple[str, ...]:
    """The names of the columns in the first line of a file, and those of its partition."""
    own = row[: len(row) - len(file.partition)]
    return (*(field.strip() for field in own), *(name for name, _ in file.partition))
