"""Chunks: the examples of a file, a few megabytes at a time, as readers give them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class CsrRows:
    """CSR rows of a chunk.

    Attributes:
        indptr: int64, shape (n_examples + 1,): where each example begins and ends.
        indices: int64, shape (n_entries,): features, ascending within an example.
        values: float32, shape (n_entries,), finite.
    """

    indptr: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int64]
    values: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.indptr) - 1


@dataclass(frozen=True, eq=False)
class Numbers:
    """What was found in the columns of a chunk while these became features.

    Attributes:
        missing: int64, how many numbers of each column of numbers are missing.
        empty: int64, how many texts of each categorical column are.
        lowered: float64, the least that rounding to float32 added to a number of each column.
        raised: the greatest likewise.
    """

    missing: npt.NDArray[np.int64]
    empty: npt.NDArray[np.int64]
    lowered: npt.NDArray[np.float64]
    raised: npt.NDArray[np.float64]

    def merged(self, other: Numbers) -> Numbers:
        """Of the chunks of both together."""
        return Numbers(
            self.missing + other.missing,
            self.empty + other.empty,
            np.minimum(self.lowered, other.lowered),
            np.maximum(self.raised, other.raised),
        )


_NONE = np.zeros(0, np.int64)
NO_NUMBERS = Numbers(_NONE, _NONE, np.zeros(0), np.zeros(0))


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some consecutive examples.

    Attributes:
        features: float32, shape (n_examples, n_features); or CSR rows. They are finite, but
            for NaN where a number is missing and its column does not say yet what to fill in.
        targets: shape (n_examples,), as read: float64, int64, or str in an object array.
            Text files give str, exactly as written but for surrounding blanks. A number
            is finite, a text not empty. None if the reader was not asked for targets.
        dropped: rows of the file that could not be used and were tolerated, by their position
            among all rows that the chunk was made of, ascending.
        passed: for each column that comes along the texts of all these rows, the dropped ones
            included; empty where such a row does not have the column.
        apart: float64, shape (n_examples,): what the column says that is no feature; None
            if the reader was not asked for one.
        found: what the reader of a table found on the way.
        weights: float64, shape (n_examples,): finite and not negative; None if the reader was not
            asked for them.
    """

    features: npt.NDArray[np.float32] | CsrRows
    targets: npt.NDArray[Any] | None
    dropped: tuple[int, ...] = ()
    passed: tuple[Sequence[str], ...] = ()
    apart: npt.NDArray[np.float64] | None = None
    found: Numbers | None = None
    weights: npt.NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.features)


@dataclass(frozen=True)
class Columns:
    """The meaning of the columns of the features.

    Attributes:
        n_features: columns of the features.
        n_dense: leading columns that hold numbers; all of them, where nothing is hashed
            and the features are dense; 0 for LIBSVM.
        n_fields: categorical columns of the user's file. Each owns an equal range of
            features behind the dense ones, and an example has one 1 in each.
        names: the user's columns that became features, the dense ones first; empty where
            the file has no names.
        all_names: all columns of the file, in its order, likewise.
    """

    n_features: int
    n_dense: int = 0
    n_fields: int = 0
    names: tuple[str, ...] = ()
    all_names: tuple[str, ...] = ()
