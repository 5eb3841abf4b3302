"""CSV files: columns of numbers, of categories, and one of targets.

A field is missing if it is empty. Numbers are written as Python writes them, categories
and targets are any text; see :mod:`app.datasets.reading.options` for what can be said about
the columns, and :mod:`app.datasets.reading.table` for the features that come of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from itertools import chain
from typing import Any

import numpy as np

from app.datasets.chunks import Chunk, Columns
from app.datasets.reading.choice import AllColumns, choose
from app.datasets.reading.decimals import Content
from app.datasets.reading.header import has_header, is_number
from app.datasets.reading.options import Scalar
from app.datasets.reading.places import Place
from app.datasets.reading.reader import Progress, Reader
from app.datasets.reading.records import Records, records
from app.datasets.reading.table import Float32s
from app.datasets.reading.values import fault_of_target, fault_of_text, objects
from app.errors import DataError

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
        self._missing = np.float32(settings["missing"])
        place, head = self._head()
        header = self._has_header(head.rows, place)
        names = tuple(field.strip() for field in head.rows[0]) if header else ()
        columns = AllColumns(names, len(head.rows[0]), place.name)
        if columns.width == 1 and labelled:
            raise DataError(
                f"{place.name}: there is only one column; is the option delimiter right?"
            )
        texts = self._texts(head.rows[header:], columns.width)
        self._table = choose(columns, texts, settings, labelled)

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
                    _drop_blank(found)
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
            _drop_blank(found)
            if header and found.rows:
                self._check_header(found, place)
                header = False
            try:
                chunk = self._read(found.rows)
                bad = found.faults
            except ValueError:
                rows, bad = self._without_faults(found)
                chunk = self._read(rows)
            for line, reason in bad:
                self._fault(place, line, reason)
            self._report(place, found.position)
            yield chunk

    def _check_header(self, found: Records, place: Place) -> None:
        names = tuple(field.strip() for field in found.rows[0])
        if names != self._table.names:
            raise DataError(
                f"{place.name}: line {found.lines[0]}: the names of the columns must be those "
                f"of the other files, {', '.join(map(repr, self._table.names))}"
            )
        del found.rows[0], found.lines[0]

    def _read(self, rows: Rows) -> Chunk:
        """The examples of whole rows; ValueError if anything is wrong with one."""
        table = self._table
        columns = list(zip(*rows, strict=True)) or [()] * table.width
        if len(columns) != table.width:
            raise ValueError("too few or too many columns")
        dense = self._numbers([columns[i] for i in table.dense], len(rows))
        features = table.features(dense, [columns[i] for i in table.fields])
        if table.target is None:
            return Chunk(features, None)
        targets = [text.strip() for text in columns[table.target]]
        if any(map(fault_of_target, set(targets))):
            raise ValueError("a target is missing or unusable")
        return Chunk(features, objects(targets))

    def _numbers(self, columns: Sequence[Sequence[str]], n_rows: int) -> Float32s:
        if not columns or not n_rows:
            return np.empty((n_rows, len(columns)), np.float32)
        content = "\0".join(chain.from_iterable(columns)).encode()  # no field has a NUL
        ends = np.append(np.flatnonzero(np.frombuffer(content, np.uint8) == 0), len(content))
        starts = np.append(0, ends[:-1] + 1)
        given = starts < ends
        values = np.full(len(ends), self._missing)
        values[given] = Content(content).numbers(starts[given], ends[given])
        if not np.isfinite(values).all():
            raise ValueError("a number is not finite")
        return np.ascontiguousarray(values.reshape(len(columns), n_rows).T)

    def _without_faults(self, found: Records) -> tuple[Rows, list[tuple[int, str]]]:
        """The rows that can be used, and the lines of all the others in their order."""
        good, bad = [], list(found.faults)
        for line, row in zip(found.lines, found.rows, strict=True):
            reason = self._judged(row)
            if reason is None:
                good.append(row)
            else:
                bad.append((line, reason))
        return good, sorted(bad)

    def _judged(self, row: Sequence[str]) -> str | None:
        """Why a row cannot be used; None if it can."""
        table = self._table
        if len(row) != table.width:
            return f"there are {len(row)} columns, {table.width} are needed"
        for column in table.dense:
            if row[column] and (fault := fault_of_text(row[column])):
                return f"{table.name(column)}: {fault}"
        return None if table.target is None else fault_of_target(row[table.target].strip())


def _drop_blank(found: Records) -> None:
    if [] in found.rows:
        kept = [i for i, row in enumerate(found.rows) if row]
        found.rows = [found.rows[i] for i in kept]
        found.lines = [found.lines[i] for i in kept]
