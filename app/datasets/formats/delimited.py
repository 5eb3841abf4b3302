"""CSV files: columns of numbers, of categories, and one of targets.

A field is missing if it is empty. Numbers are written as Python writes them, categories and
targets are any text; see :mod:`distbelief.app.datasets.formats.options` for what can be said about
the columns, and :mod:`distbelief.app.datasets.formats.table` for the features that come of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

from distbelief.app.datasets.examples.chunks import Chunk, Columns
from distbelief.app.datasets.formats.cells import Cells, PlainCells, RowCells
from distbelief.app.datasets.formats.choice import AllColumns, choose
from distbelief.app.datasets.formats.header import has_header, is_number
from distbelief.app.datasets.formats.places import Place
from distbelief.app.datasets.formats.reader import Progress, Reader
from distbelief.app.datasets.formats.records import Records, records
from distbelief.app.datasets.formats.values import fault_of_target, fault_of_text, objects
from distbelief.app.errors import DataError
from distbelief.app.settings.sections import Scalar

Rows = Sequence[Sequence[str]]


class CsvReader(Reader):
    """Reads CSV files, which have the same columns each, and the same header or none.

    Raises:
        DataError: the first file does not say which columns there are.
    """

    unit = "line"

    def __init__(
        self,
        places: Sequence[Place],
        settings: Mapping[str, Any],
        progress: Progress | None,
        labelled: bool,
    ) -> None:
        super().__init__(places, settings, progress, labelled)
        tabs = places[0].name.lower().removesuffix(".gz").endswith(".tsv")
        self._delimiter: str = settings["delimiter"] or ("\t" if tabs else ",")
        place, head = self._head()
        if len(head.rows[0]) == 1 and labelled:
            raise DataError(
                f"{place.name}: there is only one column; is the option delimiter right?"
            )
        header = self._has_header(head.rows, place)
        names = tuple(field.strip() for field in head.rows[0]) if header else ()
        self._all = AllColumns(names, len(head.rows[0]), place.name)
        texts = self._texts(head.rows[header:], self._all.width)
        self._table = choose(self._all, texts, settings, labelled)

    @property
    def sparse(self) -> bool:
        return bool(self._table.fields)

    @property
    def columns(self) -> Columns:
        return self._table.columns

    @property
    def same(self) -> dict[str, Scalar]:
        settings = {"header": bool(self._table.names), "delimiter": self._delimiter}
        return {**settings, "missing": self._settings["missing"], **self._table.same()}

    def _head(self) -> tuple[Place, Records]:
        """The first lines of the first file that has some."""
        for place in self._places:
            with closing(records(place, self._delimiter)) as stream:
                for found in stream:
                    found.parse()
                    if found.faults and found.faults[0][0] < min(found.lines, default=2**63):
                        line, reason = found.faults[0]
                        raise DataError(f"{place.name}: line {line}: {reason}")
                    if found.rows:
                        return place, found
        raise DataError(f"{self._places[0].name}: the file is empty")

    def _has_header(self, rows: Rows, place: Place) -> bool:
        given: bool | None = self._settings["header"]
        if given is not None:
            return given
        keys = (
            self._settings["target"],
            *self._settings["ignore"],
            *(self._settings["categorical"] or ()),
        )
        return has_header(rows, {key for key in keys if key and not key.isdecimal()}, place.name)

    def _texts(self, rows: Rows, width: int) -> set[int]:
        """Columns that hold something else than numbers."""
        columns = zip(*(row for row in rows if len(row) == width), strict=True)
        return {
            i
            for i, column in enumerate(columns)
            if not all(field == "" or is_number(field) for field in column)
        }

    def _chunks(self, place: Place) -> Iterator[Chunk]:
        header = bool(self._table.names)
        for found in records(place, self._delimiter):
            if header:
                found.parse()
                header = not self._check_header(found, place)
            try:
                chunk = self._read(self._cells(found))
            except ValueError:
                found.parse()
                self._drop_faulty_rows(found)
                chunk = self._read(self._cells(found))
            for line, reason in sorted(found.faults):
                self._fault(place, line, reason)
            self._report(place, found.position)
            yield chunk

    def _check_header(self, found: Records, place: Place) -> bool:
        """Take the header away; False if there are no lines."""
        if not found.rows:
            return False
        names = tuple(field.strip() for field in found.rows[0])
        if names != self._table.names:
            raise DataError(
                f"{place.name}: line {found.lines[0]}: the names of the columns must be those "
                f"of the other files, {self._all.listed()}"
            )
        del found.rows[0], found.lines[0]
        return True

    def _cells(self, found: Records) -> Cells:
        if found.plain and len(self._delimiter.encode()) == 1:
            return PlainCells(found.plain, self._delimiter, self._table.width)
        found.parse()
        return RowCells(found.rows, self._table.width)

    def _read(self, cells: Cells) -> Chunk:
        """The examples of whole rows; ValueError if anything is wrong with one."""
        table = self._table
        dense = cells.numbers(table.dense, self._settings["missing"])
        features = table.features(dense, [cells.texts(i) for i in table.fields])
        if table.target is None:
            return Chunk(features, None)
        targets = [text.decode().strip() for text in cells.texts(table.target)]
        if any(map(fault_of_target, set(targets))):
            raise ValueError("a target is missing or unusable")
        return Chunk(features, objects(targets))

    def _drop_faulty_rows(self, found: Records) -> None:
        good = []
        for line, row in zip(found.lines, found.rows, strict=True):
            reason = self._judged(row)
            if reason is None:
                good.append((line, row))
            else:
                found.faults.append((line, reason))
        found.lines, found.rows = [line for line, _ in good], [row for _, row in good]

    def _judged(self, row: Sequence[str]) -> str | None:
        """Why a row cannot be used; None if it can."""
        table = self._table
        if len(row) != table.width:
            return f"there are {len(row)} columns, {table.width} are needed"
        for column in table.dense:
            if row[column] and (fault := fault_of_text(row[column])):
                return f"{table.name(column)}: {fault}"
        return None if table.target is None else fault_of_target(row[table.target].strip())
