"""Features of which most are zero: rows of a CSR matrix, perhaps memory-mapped."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from distbelief.app.datasets.examples.chunks import Chunk, CsrRows
from distbelief.app.datasets.examples.mapped import FileArray, gathered
from distbelief.app.errors import DataError
from distbelief.app.settings.extras import needed

Rows = npt.NDArray[np.int64]

#: A ``scipy.sparse.csr_array``, which has no types.
Csr: TypeAlias = Any


@cache
def scipy_sparse() -> Any:
    """``scipy.sparse``, which dense data do not need; raises DataError if it is not installed."""
    return needed("scipy.sparse", "sparse data need SciPy", "sparse", DataError)


def is_sparse(values: Any) -> bool:
    """Whether these are sparse of any kind of SciPy: nothing is before SciPy was imported."""
    return "scipy.sparse" in sys.modules and bool(scipy_sparse().issparse(values))


def csr(content: Any, shape: tuple[int, int] | None = None) -> Csr:
    """A ``csr_array`` of another matrix, or of the parts of one."""
    return scipy_sparse().csr_array(content, shape=shape)


@dataclass(frozen=True, eq=False)
class SparseFeatures:
    """Stands where a dense array of features stands; indexing gives a ``csr_array``.

    Only the examples that are asked for are ever copied, whatever the size of the arrays.

    Attributes:
        indptr: int64, shape (n_examples + 1,): where each example begins and ends.
        indices: shape (n_entries,), the columns, ascending within an example.
        values: float32, shape (n_entries,).
        n_features: columns.

    Raises:
        DataError: SciPy is not installed.
    """

    indptr: npt.NDArray[np.int64] | FileArray
    indices: npt.NDArray[Any] | FileArray
    values: npt.NDArray[np.float32] | FileArray
    n_features: int

    def __post_init__(self) -> None:
        scipy_sparse()  # whoever opens such data is to know it, not the first minibatch

    @property
    def shape(self) -> tuple[int, int]:
        return len(self), self.n_features

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def __getitem__(self, rows: Rows | slice) -> Csr:
        """The examples ``rows``: a ``csr_array`` of shape (len(rows), n_features)."""
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(self)))
        starts, stops = self.indptr[rows], self.indptr[rows + 1]
        indptr = np.concatenate(([0], np.cumsum(stops - starts)))
        values, indices = gathered((self.values, self.indices), starts, stops)
        return csr((values, indices, indptr), (len(rows), self.n_features))


def arrays_of(features: Any, targets: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    """The arrays that make up dense or sparse features, and the targets behind them."""
    if not isinstance(features, SparseFeatures):
        return [features, targets]
    return [np.asarray(a) for a in (features.indptr, features.indices, features.values)] + [targets]


def matrix(chunk: Chunk, n_features: int) -> npt.NDArray[np.float32] | Csr:
    """The features of a chunk as a dataset of one would give them."""
    if not isinstance(chunk.features, CsrRows):
        return chunk.features
    rows = chunk.features
    return csr((rows.values, rows.indices, rows.indptr), (len(rows), n_features))


def relabelled(features: Csr, n_kept: int = 0) -> tuple[Rows, Rows, Csr]:
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
    narrow = csr(parts, (features.shape[0], n_kept + len(columns)))
    return columns.astype(np.int64), counts.astype(np.int64), narrow
