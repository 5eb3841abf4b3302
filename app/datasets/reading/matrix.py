"""Arrays in memory as features: what is missing is filled in, and origins are subtracted.

What is done for each column is what a table's reader does for a column of numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from distbelief.app.datasets.examples.centres import weighted_median
from distbelief.app.datasets.examples.checks import (
    check_features,
    check_finite,
    first_where,
    to_float32,
)
from distbelief.app.datasets.examples.chunks import NO_NUMBERS, Chunk, Numbers
from distbelief.app.datasets.examples.column import NUMERIC, Column
from distbelief.app.datasets.examples.statistics import RunningStatistics, Statistics, numbers_of
from distbelief.app.datasets.reading.column_plan import ColumnPlan
from distbelief.app.datasets.reading.notation import Notation
from distbelief.app.datasets.reading.origins import origins
from distbelief.app.errors import DataError

Array = npt.NDArray[Any]
Float32s = npt.NDArray[np.float32]

#: Numbers that are in memory in double precision at a time.
CHUNK_NUMBERS = 1 << 18


def as_matrix(
    values: Array,
    settings: Mapping[str, Any],
    source: str,
    known: Sequence[Column] | None = None,
    weights: Array | None = None,
    *,
    fills: bool = False,
) -> tuple[Float32s, tuple[Column, ...]]:
    """Features out of numbers of any kind, and how: nothing, where they are as they were.

    Args:
        values: shape (n_examples, n_features); NaN is missing.
        settings: the options na, missing and indicator.
        source: for messages.
        known: columns of numbers of other data, or of a model, that are followed; if there are
            none, numbers stay as they are.
        weights: of the examples, which what is filled in depends on.
        fills: whether what would stand for a missing number is wanted although none is missing.

    Raises:
        DataError: they are no matrix of numbers, or one is infinite or does not fit float32,
            or is missing although that is an error.
    """
    check_features(values, source)
    check_weights(weights, len(values), source)
    plan = _plan(values.shape[1], settings)
    if known:
        features = _joined(_chunks(plan.following(known), values, settings, source))
        check_finite(features, "features", source)
        return features, tuple(known)
    if known is not None or (not fills and _is_ready(values, settings)):
        features = to_float32(values, "features", source)
        check_finite(features, "features", source)
        return features, ()

    notation = Notation(settings["na"])

    def read(plan: ColumnPlan) -> Iterator[Chunk]:
        return _chunks(plan, values, settings, source)

    def numbers(place: int) -> Array:
        return _given(values[:, place], notation)

    plan = found_out(plan, read, settings, numbers, weights)
    if not any(column.origin or column.missing for column in plan.table):
        return to_float32(values, "features", source), plan.table if fills else ()
    return _joined(read(plan)), plan.table


def check_weights(weights: Array | None, n_rows: int, source: str) -> None:
    """Raise DataError unless there are as many weights as rows: there are as many as targets."""
    if weights is not None and len(weights) != n_rows:
        raise DataError(
            f"{source}: there are {len(weights)} targets with weights for {n_rows} examples"
        )


def found_out(
    plan: ColumnPlan,
    read: Callable[[ColumnPlan], Iterable[Chunk]],
    settings: Mapping[str, Any],
    numbers: Callable[[int], Array],
    weights: Array | None = None,
) -> ColumnPlan:
    """The plan with all that is known of its columns once all rows were seen.

    Args:
        plan: of the columns so far.
        read: gives all rows by a plan.
        settings: as for :func:`as_matrix`.
        numbers: gives a column of numbers, counted among these, NaN where one is missing.
        weights: of the examples.
    """
    n = len(plan.dense)
    found, statistics, means = _statistics(read(plan), n, weights)
    plan = plan.changed(plan.used, missing=[*found.missing.tolist(), *found.empty.tolist()])
    if new := origins(plan, found, statistics):
        plan = plan.changed(new, origin=list(new.values()))
        _, _, means = _statistics(read(plan), n, weights)
    centres = None
    if settings["missing"] == "mean":
        centres = means
    elif settings["missing"] == "median":
        pairs = enumerate(plan.origins.tolist())
        centres = np.array([_median(numbers(place) - origin, weights) for place, origin in pairs])
    if centres is not None:
        plan = plan.changed(plan.dense, fill=(centres + plan.origins).tolist())
    if settings["indicator"]:
        plan = plan.changed(plan.dense, indicator=(found.missing > 0).tolist())
    return plan


def _statistics(
    chunks: Iterable[Chunk], n: int, weights: Array | None
) -> tuple[Numbers, Statistics, Array]:
    """What is found in all chunks, statistics of their ``n`` columns of numbers, and means.

    Means are those of rows that are there as often as their weights say.
    """
    running, found = RunningStatistics(n), NO_NUMBERS
    weighted, start = RunningStatistics(n, weighted=True), 0
    for chunk in chunks:
        assert chunk.found is not None
        found = chunk.found if found is NO_NUMBERS else found.merged(chunk.found)
        if n:
            running.add(numbers_of(chunk.features, n))
        if n and weights is not None:
            weighted.add(numbers_of(chunk.features, n), weights[start : start + len(chunk)])
            start += len(chunk)
    statistics = running.now()
    return found, statistics, (statistics if weights is None else weighted.now()).mean


def _median(values: Array, weights: Array | None) -> float:
    """The median of numbers as features have them; 0 without any."""
    there = ~np.isnan(values)
    rounded = values[there].astype(np.float32).astype(np.float64)
    return weighted_median(rounded, None if weights is None else weights[there])


def _is_ready(values: Array, settings: Mapping[str, Any]) -> bool:
    """Whether float32 holds each number, and none is missing."""
    if Notation(settings["na"]).missing_numbers:
        return False
    if values.dtype.kind in "biu":
        return values.dtype.itemsize < np.dtype(np.float32).itemsize
    return (
        values.dtype == np.float32 and first_where(values, lambda rows: ~np.isfinite(rows)) is None
    )


def _joined(chunks: Iterable[Chunk]) -> Float32s:
    return np.concatenate([np.asarray(chunk.features) for chunk in chunks])


def _plan(n_features: int, settings: Mapping[str, Any]) -> ColumnPlan:
    missing = settings["missing"]
    fill = None if isinstance(missing, str) else float(missing)
    return ColumnPlan((Column(NUMERIC, fill=fill),) * n_features, named=False, buckets=1)


def _chunks(
    plan: ColumnPlan, values: Array, settings: Mapping[str, Any], source: str
) -> Iterator[Chunk]:
    notation = Notation(settings["na"])
    allowed = notation.nan_is_missing and settings["missing"] != "error"
    to_float32(values, "features", source)  # which says what does not fit
    step = max(1, CHUNK_NUMBERS // values.shape[1])
    for start in range(0, len(values), step):
        wide = values[start : start + step].astype(np.float64)
        gone = np.isnan(wide) & allowed
        if notation.missing_numbers:
            gone |= np.isin(wide, notation.missing_numbers)
        wide[gone] = 0
        check_finite(wide, "features", source, start)
        wide[gone] = np.nan
        yield plan.chunk(wide, [], None)


def _given(column: Array, notation: Notation) -> Array:
    """A column with NaN where a number is missing."""
    wide = column.astype(np.float64)
    wide[np.isin(wide, notation.missing_numbers)] = np.nan
    return wide
