"""Checks of arrays in a data set: every complaint about an array is worded here.

Each check raises DataError with one sentence: the source, the thing, what is allowed.
Rows and columns count from 0. Arrays are looked at a chunk of rows at a time, so that a
memory-mapped file is checked without loading it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from distbelief.app.errors import DataError

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

#: Numbers looked at together: a few megabytes, whatever the size of the array.
CHUNK_NUMBERS = 1 << 20

#: Targets of more kinds than this are more likely prices or ids than labels.
MAX_GUESSED_CLASSES = 1_000

#: So many whole numbers are labels, unless hardly any of them comes twice.
FEW_KINDS = 20

#: A column is what at least this share of its values are; then the others are mistakes.
NEARLY_ALL = 0.9


def check_features(features: Array, source: str) -> None:
    """Require a numeric array of shape (n_examples, n_features) with something in it."""
    _check_numeric(features, "features", source)
    if features.ndim != 2:
        raise DataError(
            f"{source}: features must be a 2-D array (n_examples, n_features), "
            f"got shape {features.shape}"
        )
    if features.shape[0] == 0:
        raise DataError(f"{source}: there are no examples, at least one is needed")
    if features.shape[1] == 0:
        raise DataError(f"{source}: the examples have no features, at least one is needed")


def check_targets(targets: Array, n_examples: int, source: str, *, texts: bool = False) -> None:
    """Require numbers, or perhaps ``texts``, of shape (n_examples,)."""
    if not (texts and targets.dtype.kind == "U"):
        _check_numeric(targets, "targets", source)
    if targets.ndim != 1:
        raise DataError(
            f"{source}: targets must be a 1-D array with one number for each example, "
            f"got shape {targets.shape}"
        )
    if len(targets) != n_examples:
        raise DataError(
            f"{source}: features and targets must have equally many rows, "
            f"got {n_examples} and {len(targets)}"
        )


def check_finite(values: Array, thing: str, source: str, first_row: int = 0) -> None:
    """Require finite numbers; ``first_row`` as in :func:`check_labels`."""
    index = first_where(values, lambda chunk: ~np.isfinite(chunk))
    if index is not None:
        raise DataError(
            f"{source}: {thing} must be finite, {_position(index, first_row)} holds "
            f"{values[index]!s}"
        )


def check_labels(labels: Array, n_classes: int, source: str, first_row: int = 0) -> None:
    """Require whole numbers 0 to ``n_classes - 1``; the dtype may be a float one.

    ``labels`` may be some of many, from row ``first_row`` on.
    """
    index = first_where(labels, lambda chunk: chunk < 0)
    if index is not None:
        raise DataError(
            f"{source}: labels must not be negative, {_position(index, first_row)} holds "
            f"{labels[index]!s}; number the classes from 0"
        )
    if labels.dtype.kind == "f":
        check_whole(labels, source, first_row)
    index = first_where(labels, lambda chunk: chunk >= n_classes)
    if index is not None:
        raise DataError(
            f"{source}: labels of {n_classes} classes must be 0 to {n_classes - 1}, "
            f"{_position(index, first_row)} holds {labels[index]!s}"
        )


def check_whole(labels: Array, source: str, first_row: int = 0) -> None:
    """Require whole numbers among floating-point ones, ``first_row`` as in :func:`check_labels`."""
    index = first_where(labels, lambda chunk: (chunk != np.floor(chunk)) | ~np.isfinite(chunk))
    if index is not None:
        raise DataError(
            f"{source}: labels must be whole numbers, {_position(index, first_row)} holds "
            f"{labels[index]!s}"
        )


def check_entries(indptr: Array, indices: Array, n_features: int, source: str) -> None:
    """Require sparse rows that lie within their arrays, and columns that there are.

    SciPy believes both, and would read and write elsewhere.
    """
    ordered = len(indptr) > 0 and indptr[0] == 0 and indptr[-1] == len(indices)
    for start in range(0, len(indptr) - 1, CHUNK_NUMBERS):
        ordered = ordered and bool((np.diff(indptr[start : start + CHUNK_NUMBERS + 1]) >= 0).all())
    if not ordered or indptr.dtype != np.int64 or indices.dtype.kind != "i":
        raise DataError(f"{source}: the rows of the sparse features are not where their array ends")
    index = first_where(indices, lambda chunk: (chunk < 0) | (chunk >= n_features))
    if index is not None:
        raise DataError(
            f"{source}: columns of the sparse features must be 0 to {n_features - 1}, "
            f"{_position(index)} holds {indices[index]!s}"
        )


def to_float32(values: Array, thing: str, source: str) -> npt.NDArray[np.float32]:
    """``values`` rounded to float32, C-contiguous; the same array where it already is.

    Raises:
        DataError: a finite value is infinite in float32.
    """
    with np.errstate(over="ignore"):
        index = None if values.dtype.kind != "f" else first_where(values, _overflows)
    if index is not None:
        raise DataError(
            f"{source}: {thing} must fit float32 (at most 3.4e38), "
            f"{_position(index)} holds {values[index]!s}"
        )
    return values.astype(np.float32, order="C", copy=False)


def first_where(values: Array, is_bad: Callable[[Array], Mask]) -> tuple[int, ...] | None:
    """Index of the first entry, row by row, that ``is_bad`` marks; None without any."""
    for rows in _row_chunks(values):
        bad = is_bad(values[rows])
        if bad.any():
            row, *column = (int(i) for i in np.unravel_index(bad.argmax(), bad.shape))
            return rows.start + row, *column
    return None


def _row_chunks(values: Array) -> Iterator[slice]:
    n_rows = len(values)
    step = max(1, CHUNK_NUMBERS // max(1, values.size // max(1, n_rows)))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


def _overflows(chunk: Array) -> Mask:
    return np.isinf(chunk.astype(np.float32)) & np.isfinite(chunk)


def _check_numeric(values: Array, thing: str, source: str) -> None:
    if values.dtype.kind not in "biuf":
        raise DataError(
            f"{source}: {thing} must be whole or floating-point numbers, "
            f"got an array of dtype {values.dtype}"
        )


def _position(index: tuple[int, ...], first_row: int = 0) -> str:
    row, *column = index
    file = f"row {first_row + row}"
    return f"{file}, column {column[0]}" if column else file
