"""Features of which most are zero: rows of a CSR matrix, perhaps memory-mapped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from distbelief.app.datasets.examples.chunks import Chunk, CsrRows
from distbelief.app.datasets.examples.mapped import FileArray, gathered

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SparseFeatures:
    """Stands where a dense array of features stands; indexing gives a ``csr_array``.

    Only the examples that are asked for are ever copied, whatever the size of the arrays.

    Attributes:
        indptr: int64, shape (n_examples + 1,): where each example begins and ends.
        indices: shape (n_entries,), the columns, ascending within an example.
        values: float32, shape (n_entries,).
        n_features: columns.
    """

    indptr: npt.NDArray[np.int64] | FileArray
    indices: npt.NDArray[Any] | FileArray
    values: npt.NDArray[np.float32] | FileArray
    n_features: int

    @property
    def shape(self) -> tuple[int, int]:
        return len(self), self.n_features

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def __getitem__(self, rows: Rows | slice) -> csr_array:
        """The examples ``rows``: a ``csr_array`` of shape (len(rows), n_features)."""
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(self)))
        starts, stops = self.indptr[rows], self.indptr[rows + 1]
        indptr = np.concatenate(([0], np.cumsum(stops - starts)))
        values, indices = (gathered(part, starts, stops) for part in (self.values, self.indices))
        parts = (values, indices, indptr)
        return csr_array(parts, shape=(len(rows), self.n_features))


def arrays_of(features: Any, targets: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    """The arrays that make up dense or sparse features, and the targets behind them."""
    if not isinstance(features, SparseFeatures):
        return [features, targets]
    return [np.asarray(a) for a in (features.indptr, features.indices, features.values)] + [targets]


def matrix(chunk: Chunk, n_features: int) -> npt.NDArray[np.float32] | csr_array:
    """The features of a chunk as a dataset of one would give them."""
    if not isinstance(chunk.features, CsrRows):
        return chunk.features
    rows = chunk.features
    return csr_array((rows.values, rows.indices, rows.indptr), shape=(len(rows), n_features))


def relabelled(features: csr_array, n_kept: int = 0) -> tuple[Rows, Rows, csr_array]:
    """The columns that occur, ascending, and how often; the same features over them alone.

    The first ``n_kept`` columns stay as they are and where they are; the others are
    counted from there, in what is returned as in the new features.
    """
    others = features.indices >= n_kept
    columns, positions, counts = np.unique(
        features.indices[others] - n_kept, return_inverse=True, return_counts=True
    )
    indices = features.indices.copy()
    indices[others] = positions + n_kept
    parts = (features.data, indices, features.indptr)
    narrow = csr_array(parts, shape=(features.shape[0], n_kept + len(columns)))
    return columns.astype(np.int64), counts.astype(np.int64), narrow
