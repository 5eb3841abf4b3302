"""Arrays handed over in memory: written once as a converted data set, which all processes map.

The source of such data is ``arrays:FOLDER``; who hands them over removes the folder again.
"""

from __future__ import annotations

import hashlib
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from distbelief.app.datasets.examples import stored
from distbelief.app.datasets.examples.checks import (
    check_finite,
    check_targets,
    to_float32,
)
from distbelief.app.datasets.examples.chunks import Columns
from distbelief.app.datasets.examples.column import Column
from distbelief.app.datasets.examples.compatibility import Compatibility
from distbelief.app.datasets.examples.dataset import Dataset, Facts
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.datasets.examples.sparse import (
    SparseFeatures,
    arrays_of,
    csr,
    is_sparse,
    matrix,
)
from distbelief.app.datasets.examples.target_facts import TargetFacts
from distbelief.app.datasets.examples.weights import as_weights
from distbelief.app.datasets.formats.frame_columns import is_missing_value
from distbelief.app.datasets.formats.frames import frame_of
from distbelief.app.datasets.formats.options import MISSING_OPTIONS, Options, missing_settings
from distbelief.app.datasets.reading.all_columns import AllColumns
from distbelief.app.datasets.reading.known_columns import quoted
from distbelief.app.datasets.reading.matrix import as_matrix
from distbelief.app.datasets.reading.use import Use
from distbelief.app.datasets.reading.weights import WEIGHT
from distbelief.app.datasets.targets.column import TargetColumn
from distbelief.app.datasets.targets.wanted import Wanted
from distbelief.app.errors import DataError
from distbelief.app.settings.sections import Scalar

PREFIX = "arrays:"

NO_OPTIONS: Options = {}

#: For messages.
NAME = "the arrays"


def open_arrays(folder: Path, source: str, compatibility: Compatibility | None = None) -> Dataset:
    """Open arrays that were handed over; raises DataError if they are gone or not compatible."""
    dataset = stored.open_folder(folder, NAME)
    if dataset is None:
        raise DataError(
            f"{source}: the arrays of this training are not here; they are on the machine of the "
            "program that handed them over, and only while it trains"
        )
    if compatibility is not None:
        compatibility.check(dataset.schema, NAME)
        compatibility.check_classes(dataset.schema, NAME)
    return dataset


def hand_over(
    features: Any,
    values: Any,
    folder: Path,
    wanted: Wanted,
    known: Compatibility | None = None,
    options: Options = NO_OPTIONS,
    weights: Any = None,
) -> str:
    """Write arrays into ``folder``; returns the source that they then are.

    Args:
        features: numbers, shape (n_examples, n_features), sparse of any kind of SciPy, or a
            table of named columns.
        values: the targets, numbers or texts, shape (n_examples,).
        folder: empty, or not there.
        wanted: what is known of the targets.
        known: what the features must be like.
        options: of the columns of a table, and of numbers that are missing.
        weights: of the examples, if they have any.

    Raises:
        DataError: numbers are not finite or do not fit float32, shapes do not fit, ...
        OSError: the folder cannot be written.
    """
    y = _as_targets(values)
    weights, weight = _weights(features, weights, known, options)
    weights = None if weights is None else as_weights(weights, len(y), NAME)
    table = as_table(features, NAME, known, options, weights)
    x = table.features
    check_targets(y, x.shape[0], NAME, texts=True)
    with closing(TargetColumn(NAME, wanted)) as column:
        column.add(y)
        targets = column.finish()
        found: npt.NDArray[Any] = np.concatenate(list(targets.blocks))
    columns = table.columns
    schema = Schema(
        x.shape[1],
        targets.n_classes,
        is_sparse(x),
        columns.n_dense,
        columns.n_fields,
        targets.labels,
        targets.origin,
    )
    matrix = _stored(x)
    content = hashlib.blake2b(digest_size=16)
    for array in (*arrays_of(matrix, found), *([] if weights is None else [weights])):
        content.update(np.ascontiguousarray(array).data)
    reading: dict[str, Scalar] = {
        name: options[name] for name in MISSING_OPTIONS if name in options
    }
    target = getattr(values, "name", None) if columns.names else None
    roles = {"target": target if isinstance(target, str) else None, WEIGHT: weight}
    reading |= {role: name for role, name in roles.items() if name is not None}
    facts = Facts(
        columns.names,
        reading=reading,
        target=TargetFacts(guessed=targets.what),
        all_names=columns.all_names,
        columns=table.table,
    )
    folder.mkdir(parents=True, exist_ok=True)
    dataset = Dataset(matrix, found, schema, NAME, content.hexdigest(), facts, weights=weights)
    stored.write(dataset, folder)
    return f"{PREFIX}{folder}"


def _stored(features: Any) -> Any:
    """Features as a data set has them."""
    if not is_sparse(features):
        return features
    indptr, indices = features.indptr.astype(np.int64), features.indices.astype(np.int32)
    return SparseFeatures(indptr, indices, features.data, features.shape[1])


def _weights(
    features: Any, given: Any, known: Compatibility | None, options: Options
) -> tuple[Any, str | None]:
    """Weights as they are given, or else those of a table's column, and what this is called.

    Raises:
        DataError: there is no such column, or they are given as well.
    """
    frame, name = frame_of(features, NAME), options.get(WEIGHT)
    if name is None:
        column = None if known is None else known.weight
    elif frame is None:
        raise DataError(
            f"{NAME}: the option weight names a column, and arrays have no names: give them as "
            "(features, targets, weights)"
        )
    elif given is not None:
        raise DataError(f"{NAME}: there are weights twice, give either the option weight or them")
    else:
        columns = AllColumns(frame.names, len(frame.names), NAME)
        column = frame.names[columns.find(WEIGHT, str(name))]
    if given is not None or frame is None or column not in frame.names:
        return given, None
    return frame.values[column], column


@dataclass(frozen=True, eq=False)
class Table:
    """Features as a model takes them, and what their columns were."""

    features: Any
    columns: Columns
    table: tuple[Column, ...] = ()


def as_table(
    values: Any,
    source: str,
    known: Compatibility | None = None,
    options: Options = NO_OPTIONS,
    weights: Any = None,
) -> Table:
    """Features of arrays by position, of a table by the names that are ``known``.

    ``options`` are those of a table, and of numbers that are missing; what is filled in for these
    depends on the ``weights`` of the examples.

    Raises:
        DataError: they are no matrix of finite numbers, or a column is missing or unknown.
    """
    frame = frame_of(values, source)
    if frame is None:
        _check_nameless(values, source, known, options)
        features, table = _as_matrix(values, known, options, weights)
        return Table(features, Columns(features.shape[1]), table)
    plan, chunk = frame.read(options, Use(labelled=False, known=known), weights)
    columns = plan.columns
    found = matrix(chunk, columns.n_features)
    if not found.shape[0]:
        raise DataError(f"{source}: there are no examples, at least one is needed")
    return Table(found, columns, plan.table)


def _check_nameless(
    values: Any, source: str, known: Compatibility | None, options: Options
) -> None:
    """Refuse what only a table with names for its columns can be asked for."""
    for name in options:
        if name not in MISSING_OPTIONS:
            raise DataError(
                f"{source}: the option {name} is for tables whose columns have names, such as "
                "DataFrames"
            )
    if known is not None and known.categorical and not is_sparse(values):
        raise DataError(
            f"{source}: {known.name} has the categorical columns {quoted(known.categorical)}: they "
            "are taken from a table whose columns have names, such as a DataFrame"
        )


def _as_matrix(
    values: Any, known: Compatibility | None, options: Options, weights: Any
) -> tuple[Any, tuple[Column, ...]]:
    """Features, checked: float32, C-contiguous or ``csr_array``; and how they came of columns.

    Raises:
        DataError: they are no matrix, or not of finite numbers that fit float32.
    """
    if not is_sparse(values):
        given = {**({} if known is None else known.options), **options}
        numbers = None if known is None else known.numbers
        fills = options.get("missing", "error") != "error"
        settings, found = missing_settings(given, NAME), np.asarray(values)
        if found.dtype.kind in "OUST":
            raise DataError(
                f"{NAME}: features must be numbers, got an array of dtype {found.dtype}: texts "
                "are taken from a table whose columns have names, such as a DataFrame"
            )
        return as_matrix(found, settings, NAME, numbers, weights, fills=fills)
    found = csr(values).copy()
    found.sum_duplicates()  # which also sorts each row
    entries = to_float32(found.data, "features", NAME)
    check_finite(entries, "features", NAME)
    if 0 in found.shape:
        raise DataError(f"{NAME}: there must be examples and features, got shape {found.shape}")
    return csr((entries, found.indices, found.indptr), found.shape), ()


def _as_targets(values: Any) -> npt.NDArray[Any]:
    """Texts in an array of objects, as pandas has them, become an array of texts.

    Raises:
        DataError: one is missing; as a text, NaN would be a name like any other.
    """
    targets = np.asarray(values)
    if targets.dtype.kind != "O":
        return targets
    written = targets.tolist()
    for row, value in enumerate(written):
        if is_missing_value(value):
            raise DataError(f"{NAME}: row {row} of the targets is missing, it is {value!r}")
    found = np.array(written)
    decimals = found.dtype.kind == "O" and all(isinstance(each, Decimal) for each in written)
    return found.astype(np.float64) if decimals else found
