"""Parquet files: the same features as from a CSV file of the same columns.

Columns of numbers and truth values are numbers, columns of text are categories; those of
whole numbers can be categories too, if the option ``categorical`` says so, and those of dates
and times numbers, if the option ``dates`` does. Columns of other types have to be left out.
Rows count from 0 within each file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt

from distbelief.app.datasets.examples.chunks import Chunk
from distbelief.app.datasets.examples.column import CATEGORICAL, DATE, NUMERIC
from distbelief.app.datasets.examples.target_facts import TargetChoice
from distbelief.app.datasets.formats.partitions import constants_of, partition_kinds
from distbelief.app.datasets.reading.all_columns import AllColumns
from distbelief.app.datasets.reading.apart import (
    HOLDOUT,
    SPLIT,
    apart_values,
    fault_of_apart,
)
from distbelief.app.datasets.reading.arrow import (
    MOMENTS,
    NUMBERS,
    SPANS,
    TEXT,
    TRUTH,
    WHOLE,
    Constant,
    Mask,
    ParquetBatch,
    open_parquet,
)
from distbelief.app.datasets.reading.column_plan import Beside, Float64s
from distbelief.app.datasets.reading.columns import target_choice
from distbelief.app.datasets.reading.dates import seconds
from distbelief.app.datasets.reading.distinct import ENOUGH_ROWS, Distinct
from distbelief.app.datasets.reading.files import DataFile
from distbelief.app.datasets.reading.known_columns import plan_table
from distbelief.app.datasets.reading.reader import Progress
from distbelief.app.datasets.reading.survey import (
    DIFFERS,
    FEW_ROWS,
    Guess,
    is_id,
)
from distbelief.app.datasets.reading.tables import TableReader, faults_of_numbers
from distbelief.app.datasets.reading.use import Use
from distbelief.app.datasets.reading.values import (
    fault_of_date,
    fault_of_number,
    objects,
    to_float32,
)
from distbelief.app.datasets.reading.weights import faults_of_weights
from distbelief.app.errors import DataError

#: Numbers in a chunk: a megabyte.
CHUNK_NUMBERS = 1 << 18

_APART = {HOLDOUT: (TEXT, TRUTH, WHOLE), SPLIT: (NUMBERS, WHOLE, TRUTH, TEXT, MOMENTS)}
_DENSE = (NUMBERS, WHOLE, TRUTH)
_CATEGORICAL = (TEXT, WHOLE)
_TARGETS = (NUMBERS, WHOLE, TRUTH, TEXT)
_DATES = (TEXT, MOMENTS, SPANS)

_GUESSES = {
    NUMBERS: NUMERIC,
    WHOLE: NUMERIC,
    TRUTH: NUMERIC,
    TEXT: CATEGORICAL,
    MOMENTS: DATE,
    SPANS: DATE,
}
_INDEX = re.compile(r"__index_level_[0-9]+__")

BadRows = dict[int, str]
Kinds = tuple[tuple[str, str], ...]


class ParquetReader(TableReader):
    """Reads Parquet files, which have the same columns each.

    Raises:
        DataError: pyarrow is missing, or the first file is unusable.
    """

    form = "parquet"

    def __init__(
        self,
        files: Sequence[DataFile],
        settings: Mapping[str, Any],
        progress: Progress | None,
        use: Use,
    ) -> None:
        super().__init__(files, settings, progress, use)
        self._partition_kinds = partition_kinds(files)
        with open_parquet(files[0], self._constants(files[0])) as parquet:
            self._kinds = parquet.kinds()
        names = tuple(name for name, _ in self._kinds)
        columns = AllColumns(names, len(names), files[0].name)
        guesses = [] if use.by_name else self._guesses()
        self._plan = plan = plan_table(columns, guesses, settings, use)
        self._require([i for i in plan.dense if i not in plan.dates], _DENSE)
        self._require(sorted(plan.dates), _DATES)
        self._require(plan.fields, _CATEGORICAL)
        self._require([] if plan.target is None else [plan.target], _TARGETS)
        self._require([] if plan.apart is None else [plan.apart], _APART[self._apart_option])
        self._require([] if plan.weight is None else [plan.weight], _DENSE)

    typed = True

    @property
    def target(self) -> TargetChoice:
        return target_choice(self._plan, self._settings, header=None)

    def _guesses(self) -> list[Guess]:
        different = set() if "*" in self._settings["keep"] else self._different()
        guesses = []
        for name, kind in self._kinds:
            unwanted = "it is an index of pandas" if _INDEX.fullmatch(name) else ""
            if name in different:
                unwanted = DIFFERS
            guesses.append(Guess(_GUESSES.get(kind, kind), unwanted=unwanted))
        return guesses

    def _different(self) -> set[str]:
        """Columns of text, and of ids, with a different value in each row."""
        seen = {
            name: Distinct()
            for name, kind in self._kinds
            if kind == TEXT or (kind == WHOLE and is_id(name))
        }
        open_ = dict(seen)
        for file in self._files:
            with open_parquet(file, self._constants(file)) as parquet:
                if not open_ or parquet.kinds() != self._kinds:
                    break
                step = max(1, CHUNK_NUMBERS // len(open_))
                for batch in parquet.batches(list(open_), min(step, ENOUGH_ROWS)):
                    for name, distinct in open_.items():
                        distinct.add(batch.texts(name))
                    open_ = {name: each for name, each in open_.items() if each.is_open}
                    if not open_:
                        break
        return {name for name, each in seen.items() if each.holds and each.n_rows >= FEW_ROWS}

    def _require(self, columns: Sequence[int], allowed: Sequence[str]) -> None:
        for column in columns:
            name, kind = self._kinds[column]
            if kind not in allowed:
                raise DataError(
                    f"{self._files[0].name}: column {name!r} holds {kind}, here it must be "
                    f"{' or '.join(allowed)}; the option ignore leaves columns out"
                )

    def _chunks(self, file: DataFile) -> Iterator[Chunk]:
        plan = self._plan
        others = plan.target, plan.apart, plan.weight
        needed = dict.fromkeys((*plan.dense, *plan.fields, *plan.passed, *others))
        used = [i for i in needed if i is not None]
        with open_parquet(file, self._constants(file)) as parquet:
            self._check_kinds(parquet.kinds(), file)
            start, step = 0, max(1, CHUNK_NUMBERS // len(used))
            for batch in parquet.batches([plan.names[i] for i in used], step):
                chunk = self._read(batch, file, start)
                start += len(batch)
                self._report(file, (file.size or 0) * start // max(1, parquet.n_rows))
                yield chunk
            if start != parquet.n_rows:
                raise DataError(
                    f"{file.name}: the file announces {parquet.n_rows} rows and holds {start}"
                )

    def _check_kinds(self, kinds: Kinds, file: DataFile) -> None:
        for ours, here in zip_longest(self._kinds, kinds):
            if ours != here:
                raise DataError(
                    f"{file.name}: the columns and their types must be those of "
                    f"{self._files[0].name}, which has {_described(ours)}, not {_described(here)}"
                )

    def _read(self, batch: ParquetBatch, file: DataFile, start: int) -> Chunk:
        plan = self._plan
        bad: BadRows = {}
        dense = self._numbers(batch, bad)
        columns = [batch.texts(plan.names[i]) for i in plan.fields]
        written = ([(text or "").encode() for text in column] for column in columns)
        texts = [self._notation.categories(column) for column in written]
        for field, column in zip(plan.fields, columns, strict=True):
            for row in (row for row, text in enumerate(column) if text is None):
                bad.setdefault(row, f"{plan.name(field)}: the text is not UTF-8")
        targets = (
            None if plan.target is None else self._targets(batch, *self._kinds[plan.target], bad)
        )
        apart = None if plan.apart is None else self._apart(batch, *self._kinds[plan.apart], bad)
        weights = None if plan.weight is None else self._weights(batch, plan.weight, bad)
        for row, reason in sorted(bad.items()):
            self._fault(file, start + row, reason)
        if bad:
            good = [row for row in range(len(batch)) if row not in bad]
            dense, texts = dense[good], [[column[row] for row in good] for column in texts]
            targets, apart, weights = (
                None if each is None else each[good] for each in (targets, apart, weights)
            )
        passed = tuple([text or "" for text in batch.texts(plan.names[i])] for i in plan.passed)
        beside = Beside(tuple(sorted(bad)), passed, apart, weights)
        return plan.chunk(dense, texts, targets, beside)

    def _weights(self, batch: ParquetBatch, column: int, bad: BadRows) -> Float64s:
        """Weights of the examples; what is wrong with some is added to ``bad``."""
        name = self._plan.names[column]
        values = batch.floats(name)
        for row, fault in faults_of_weights(values, batch.missing(name)):
            bad.setdefault(row, f"{self._plan.name(column)}: {fault}")
        return values

    def _apart(self, batch: ParquetBatch, name: str, kind: str, bad: BadRows) -> npt.NDArray[Any]:
        """The column that divides the examples; what is wrong with some is added to ``bad``."""
        option = self._apart_option
        if kind in (TEXT, WHOLE, TRUTH) and (option == HOLDOUT or kind == TEXT):
            texts = [text or "" for text in batch.texts(name)]
            for row, text in enumerate(texts):
                if fault := fault_of_apart(text, option):
                    bad.setdefault(row, f"column {name!r}: {fault}")
            any_good = "0"
            return apart_values(
                (any_good if row in bad else t for row, t in enumerate(texts)), option
            )
        values = batch.moments(name) if kind == MOMENTS else batch.floats(name)
        for row in np.flatnonzero(~np.isfinite(values)).tolist():
            bad.setdefault(row, f"column {name!r}: there is no finite number, for {option}")
        return values

    def _constants(self, file: DataFile) -> dict[str, Constant]:
        return constants_of(file, self._partition_kinds)

    def _numbers(self, batch: ParquetBatch, bad: BadRows) -> Float64s:
        plan = self._plan
        dense = np.empty((len(batch), len(plan.dense)))
        for place, column in enumerate(plan.dense):
            name, kind = self._kinds[column]
            gone = batch.missing(name)
            if column not in plan.dates:
                values = batch.floats(name)
            elif kind != TEXT:
                values = batch.seconds(name)
            else:
                values, gone = self._seconds(batch.texts(name), column, bad)
            dense[:, place] = values
            missing = self._fault_of_missing(column)
            found = faults_of_numbers(dense[:, place], gone, missing, self._notation)
            for row, why in found:
                bad.setdefault(row, f"{plan.name(column)}: {why}")
        return dense

    def _seconds(
        self, texts: Sequence[str | None], column: int, bad: BadRows
    ) -> tuple[Float64s, Mask]:
        values, form = np.full(len(texts), np.nan), self._settings["date_format"]
        for row, text in enumerate(text or "" for text in texts):
            if not self._notation.is_missing(text.encode()):
                if fault := fault_of_date(text.strip(), form):
                    bad.setdefault(row, f"{self._plan.name(column)}: {fault}")
                else:
                    values[row] = seconds(text.strip(), form)
        return values, np.isnan(values)

    def _targets(self, batch: ParquetBatch, name: str, kind: str, bad: BadRows) -> npt.NDArray[Any]:
        """Targets as they are; what is wrong with some is added to ``bad``."""
        for row in np.flatnonzero(batch.missing(name)).tolist():
            bad.setdefault(row, "the target is missing")
        if kind == TEXT:
            texts = [text if text is None else text.strip() for text in batch.texts(name)]
            for row, text in enumerate(texts):
                fault = "the target is not UTF-8" if text is None else self._fault_of_target(text)
                if fault:
                    bad.setdefault(row, fault)
            return objects([text or "" for text in texts])
        if kind in (WHOLE, TRUTH):
            wholes = batch.integers(name)
            return wholes.astype(np.bool_) if kind == TRUTH else wholes
        values = batch.floats(name)
        for row in np.flatnonzero(~np.isfinite(to_float32(values))).tolist():
            bad.setdefault(row, f"the target {fault_of_number(values[row])}")
        return values


def _described(column: tuple[str, str] | None) -> str:
    return "no more columns" if column is None else f"{column[0]!r} ({column[1]})"
