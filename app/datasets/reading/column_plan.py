"""The plan of a table's columns: targets, numbers, hashed categories, or nothing.

Without categorical columns the features are dense: the numeric columns in the order of the
file, and behind them, for those that have an indicator, whether a number is missing. With some
they are CSR rows: these first, zeros included, then for each categorical column ``buckets``
features, of which the one at ``crc32(text) % buckets`` is 1. The text is UTF-8 without surrounding
ASCII blanks; a missing one is the empty text. CRC-32 is the same on every machine and in every
version, and needs no more than that.

Numbers are float64 until the origin of their column is subtracted, and only then rounded.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from distbelief.app.datasets.examples.chunks import Chunk, Columns, CsrRows, Numbers
from distbelief.app.datasets.examples.column import (
    CATEGORICAL,
    DATE,
    IGNORED,
    TARGET,
    WEIGHT,
    Column,
)
from distbelief.app.datasets.reading.values import to_float32
from distbelief.app.settings.sections import Scalar

Float32s = npt.NDArray[np.float32]
Float64s = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Beside:
    """What comes along with some rows, see :class:`Chunk`."""

    dropped: tuple[int, ...] = ()
    passed: tuple[Sequence[str], ...] = ()
    apart: npt.NDArray[np.float64] | None = None
    weights: npt.NDArray[np.float64] | None = None


NOTHING = Beside()


@dataclass(frozen=True)
class ColumnPlan:
    """The columns of a file, by position, and the use of each.

    Attributes:
        table: all columns of the file.
        named: whether the file has names for them.
        buckets: features of each categorical column.
        order: the columns of the features in their order; None is that of the file.
        passed: columns whose texts come along as they are.
        apart: column that is no feature, and yet read; None if there is none.
    """

    table: tuple[Column, ...]
    named: bool
    buckets: int
    order: tuple[int, ...] | None = None
    passed: tuple[int, ...] = ()
    apart: int | None = None

    @property
    def width(self) -> int:
        return len(self.table)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of all columns; empty where the file has none."""
        return tuple(column.name for column in self.table) if self.named else ()

    @cached_property
    def target(self) -> int | None:
        """The column of the targets, if there is one."""
        return next(iter(self._of(TARGET)), None)

    @cached_property
    def weight(self) -> int | None:
        """The column of the examples' weights, if there is one."""
        return next(iter(self._of(WEIGHT)), None)

    @cached_property
    def dense(self) -> tuple[int, ...]:
        """Columns of numbers and dates, in the order of the features."""
        return tuple(i for i in self._ordered if self.table[i].is_number)

    @cached_property
    def dates(self) -> frozenset[int]:
        return frozenset(self._of(DATE))

    @cached_property
    def fields(self) -> tuple[int, ...]:
        """Columns of categories, in the order of the features."""
        return tuple(i for i in self._ordered if self.table[i].kind == CATEGORICAL)

    @property
    def used(self) -> tuple[int, ...]:
        """The columns of the features."""
        return (*self.dense, *self.fields)

    @cached_property
    def columns(self) -> Columns:
        n_dense = len(self.dense) + len(self._marked)
        n_features = n_dense + len(self.fields) * self.buckets
        names = tuple(self.called(i) for i in self.used) if self.named else ()
        return Columns(n_features, n_dense, len(self.fields), names, self.names)

    @cached_property
    def origins(self) -> Float64s:
        """Of the columns of numbers."""
        return np.array([self.table[i].origin for i in self.dense], np.float64)

    @cached_property
    def is_exact(self) -> bool:
        """Whether numbers have to be the nearest float64, not the nearest float32 alone."""
        return bool(self.origins.any())

    def called(self, column: int) -> str:
        """A column as options may call it: its name, else its position."""
        return self.table[column].name or str(column)

    def name(self, column: int) -> str:
        """A column as messages call it."""
        return self.table[column].title(column)

    def reading_options(self) -> dict[str, Scalar]:
        """Options with which another file is cut the same way."""
        options: dict[str, Scalar] = {
            "categorical": self._list(self.fields),
            "numeric": "*",
            "dates": self._list(sorted(self.dates)),
            "ignore": self._list(self._of(IGNORED)),
            "keep": "*",
            "buckets": self.buckets,
        }
        roles = {"target": self.target, "weight": self.weight}
        found = {role: self.called(column) for role, column in roles.items() if column is not None}
        return {**found, **options}

    @property
    def _ordered(self) -> Iterable[int]:
        return range(self.width) if self.order is None else self.order

    def _of(self, kind: str) -> tuple[int, ...]:
        return tuple(i for i, column in enumerate(self.table) if column.kind == kind)

    def _list(self, columns: Sequence[int]) -> str:
        quoted = ('"{}"'.format(self.called(column).replace('"', '""')) for column in columns)
        return ",".join(quoted)

    # --- what is found out about the columns

    def following(self, known: Sequence[Column]) -> ColumnPlan:
        """The plan with origins, fills and indicators of ``known`` columns of numbers.

        These are taken by name, and those without by their order.
        """
        by_name = {column.name: column for column in known if column.name}
        table = list(self.table)
        for place, i in enumerate(self.dense):
            ours = self.table[i]
            if other := by_name.get(ours.name) or (known[place] if place < len(known) else None):
                table[i] = ours.but(origin=other.origin, fill=other.fill, indicator=other.indicator)
        return replace(self, table=tuple(table))

    def changed(self, which: Collection[int], **changes: Sequence[Any]) -> ColumnPlan:
        """The plan with new attributes for some columns, in the order of ``which``."""
        table = list(self.table)
        for name, values in changes.items():
            for column, value in zip(which, values, strict=True):
                if getattr(table[column], name) != value:
                    table[column] = table[column].but(**{name: value})
        return replace(self, table=tuple(table))

    # --- features

    def chunk(
        self,
        dense: Float64s,
        texts: Sequence[Sequence[bytes]],
        targets: npt.NDArray[Any] | None,
        beside: Beside = NOTHING,
    ) -> Chunk:
        """Examples of some rows.

        Args:
            dense: numbers, shape (n_rows, n_dense), NaN where one is missing.
            texts: n_rows texts, as UTF-8, for each categorical column; empty where missing.
            targets: shape (n_rows,), if wanted.
            beside: what comes along.
        """
        if self.is_exact:
            dense = dense - self.origins
        rounded = to_float32(dense)
        gone = np.isnan(rounded)
        absent = gone.sum(axis=0)
        away = rounded - dense
        lowered = np.fmin.reduce(away, axis=0, initial=np.inf)
        raised = np.fmax.reduce(away, axis=0, initial=-np.inf)
        if absent.any():
            rounded = self._filled(rounded, gone)
        if len(self._marked):
            rounded = np.hstack([rounded, gone[:, self._marked].astype(np.float32)])
        empty = [column.count(b"") for column in texts]
        found = Numbers(absent, np.array(empty, np.int64), lowered, raised)
        features = self._features(rounded, texts)
        return Chunk(
            features, targets, beside.dropped, beside.passed, beside.apart, found, beside.weights
        )

    def fill(self, column: int) -> float:
        """What stands where a number of a column is missing, as a feature; NaN if nothing does."""
        found = self.table[column]
        return np.nan if found.fill is None else float(np.float32(found.fill - found.origin))

    @cached_property
    def _marked(self) -> npt.NDArray[np.intp]:
        """Which of the columns of numbers have an indicator."""
        return np.flatnonzero([self.table[i].indicator for i in self.dense])

    @cached_property
    def _fills(self) -> Float32s:
        return np.array([self.fill(i) for i in self.dense], np.float32)

    def _filled(self, rounded: Float32s, gone: npt.NDArray[np.bool_]) -> Float32s:
        return np.where(gone, self._fills, rounded)

    def _features(self, dense: Float32s, texts: Sequence[Sequence[bytes]]) -> Float32s | CsrRows:
        if not self.fields:
            return dense
        n_rows, n_dense = dense.shape
        width = n_dense + len(texts)
        indices = np.empty((n_rows, width), np.int64)
        indices[:, :n_dense] = np.arange(n_dense)
        for field, column in enumerate(texts):
            indices[:, n_dense + field] = bucket(column, self.buckets)
            indices[:, n_dense + field] += n_dense + field * self.buckets
        values = np.ones((n_rows, width), np.float32)
        values[:, :n_dense] = dense
        indptr = np.arange(n_rows + 1, dtype=np.int64) * width
        return CsrRows(indptr, indices.ravel(), values.ravel())


def bucket(texts: Iterable[bytes], buckets: int) -> npt.NDArray[np.int64]:
    """The hash of each text: 0 to ``buckets - 1``."""
    return np.fromiter(map(zlib.crc32, texts), np.int64) % buckets
