"""The plan of a table's columns: targets, numbers, hashed categories, or nothing.

Without categorical columns the features are dense: the numeric columns in the order of the
file. With some they are CSR rows: the numeric columns first, zeros included, then for each
categorical column ``buckets`` features, of which the one at ``crc32(text) % buckets`` is 1.
The text is UTF-8 without surrounding ASCII blanks; a missing one is the empty text. CRC-32 is the
same on every machine and in every version, and needs no more than that.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distbelief.app.datasets.examples.chunks import Columns, CsrRows
from distbelief.app.settings.sections import Scalar

Float32s = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ColumnPlan:
    """The columns of a file, by position, and the use of each.

    Attributes:
        names: of all columns; empty where the file has none.
        width: number of columns.
        target: column of the targets; None if there is none.
        dense: columns of numbers, in the order of the features.
        fields: columns of categories, likewise.
        buckets: features of each categorical column.
        passed: columns whose texts come along as they are.
        apart: column that is no feature, and yet read; None if there is none.
    """

    names: tuple[str, ...]
    width: int
    target: int | None
    dense: tuple[int, ...]
    fields: tuple[int, ...]
    buckets: int
    passed: tuple[int, ...] = ()
    apart: int | None = None

    @property
    def columns(self) -> Columns:
        used = (*self.dense, *self.fields) if self.names else ()
        return Columns(
            len(self.dense) + len(self.fields) * self.buckets,
            len(self.dense),
            len(self.fields),
            tuple(self.names[column] for column in used),
            self.names,
        )

    def name(self, column: int) -> str:
        """A column as messages call it."""
        return f"column {self.names[column]!r}" if self.names else f"column {column}"

    def reading_options(self) -> dict[str, Scalar]:
        """Options with which another file is cut the same way."""
        kept = {self.target, *self.dense, *self.fields}
        ignored = [column for column in range(self.width) if column not in kept]
        options: dict[str, Scalar] = {
            "categorical": self._list(self.fields),
            "ignore": self._list(ignored),
            "buckets": self.buckets,
        }
        return options if self.target is None else {"target": self._key(self.target), **options}

    def _list(self, columns: Sequence[int]) -> str:
        quoted = ('"{}"'.format(self._key(column).replace('"', '""')) for column in columns)
        return ",".join(quoted)

    def _key(self, column: int) -> str:
        return self.names[column] if self.names else str(column)

    def features(self, dense: Float32s, texts: Sequence[Iterable[bytes]]) -> Float32s | CsrRows:
        """Features of some rows.

        Args:
            dense: shape (n_rows, n_dense).
            texts: n_rows texts, as UTF-8, for each categorical column.
        """
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
    return np.fromiter(map(zlib.crc32, map(bytes.strip, texts)), np.int64) % buckets
