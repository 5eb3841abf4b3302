"""A converted data set in a folder: arrays that all processes of a machine map.

features.npy, targets.npy, or SPARSE    the arrays
statistics.npy                          figures of the columns of numbers, if there are any
apart.npy                               what a column says that is no feature
parts-KEY/                              lists of rows: parts of the data (cache/parts.py)
weights.npy                             of the examples, where they have any
meta.json                               the schema, and how large the arrays are, with checksums
"""

from __future__ import annotations

import fcntl
import json
import os
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from distbelief.app.datasets.examples.checksums import checksums, is_as_written
from distbelief.app.datasets.examples.column import Column
from distbelief.app.datasets.examples.dataset import Dataset, Facts
from distbelief.app.datasets.examples.faults import Fault
from distbelief.app.datasets.examples.mapped import open_arrays
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.datasets.examples.sparse import SparseFeatures, arrays_of
from distbelief.app.datasets.examples.statistics import Statistics, statistics_of
from distbelief.app.datasets.examples.target_facts import TargetFacts
from distbelief.app.files.atomic import flush
from distbelief.app.files.documents import parse_object

#: The files of dense features, and of sparse ones.
DENSE = ("features.npy", "targets.npy")
WEIGHTS = "weights.npy"
SPARSE = ("indptr.npy", "indices.npy", "values.npy", "targets.npy")

#: What the column says that is no feature, where there is one.
APART = "apart.npy"
STATISTICS = "statistics.npy"

#: Raise it when the files in the cache, or what is made of a source, change.
FORMAT = 8


class SharedLock:
    """A shared lock on a file, for as long as this lives.

    Raises:
        OSError: it is not there, or is just being removed.
    """

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:  # a file system without locks, where nothing is removed either
            pass


def open_folder(folder: Path, source: str) -> Dataset | None:
    """The data set in ``folder``; None unless all is there, bit by bit as it was written.

    As long as it or a copy of it lives there is a shared lock on its ``meta.json``: it is in use.
    """
    try:
        lock = SharedLock(folder / "meta.json")
    except OSError:
        return None
    dataset = _opened(folder, source)
    return None if dataset is None else replace(dataset, in_use=lock)


def files_of(folder: Path) -> tuple[str, ...]:
    """Names of the arrays in a folder, as its ``meta.json`` says; raises OSError, ValueError."""
    try:
        return tuple(parse_object((folder / "meta.json").read_text())["bytes"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{folder} is no folder of a data set") from error


def _opened(folder: Path, source: str) -> Dataset | None:
    try:
        meta = parse_object((folder / "meta.json").read_text())
        if meta["format"] != FORMAT or meta["bytes"] != _sizes(folder, meta["bytes"]):
            return None
        if not is_as_written(folder, meta["crc32"]):
            return None
        schema = Schema.from_json(meta["schema"])
        *arrays, targets = open_arrays([folder / name for name in _names(schema)])
        apart, weights = (
            open_arrays([folder / name])[0] if name in meta["bytes"] else None
            for name in (APART, WEIGHTS)
        )
        return Dataset(
            _features(arrays, schema),
            targets,
            schema,
            source,
            meta["fingerprint"],
            _facts(meta, folder),
            apart,
            folder,
            weights,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _features(arrays: Sequence[Any], schema: Schema) -> Any:
    if not schema.sparse:
        return arrays[0]
    indptr, indices, values = arrays
    return SparseFeatures(indptr, indices, values, schema.n_features)


def _names(schema: Schema) -> tuple[str, ...]:
    return SPARSE if schema.sparse else DENSE


def _sizes(folder: Path, names: Mapping[str, int] | tuple[str, ...]) -> dict[str, int]:
    return {name: (folder / name).stat().st_size for name in names}


def _facts(meta: Mapping[str, Any], folder: Path) -> Facts:
    known = STATISTICS in meta["bytes"]
    return Facts(
        tuple(meta["names"]),
        tuple(Fault(**fault) for fault in meta["skipped"]),
        meta["reading"],
        sum(meta["bytes"].values()),
        TargetFacts.from_json(meta["target"]),
        tuple(meta["all_names"]),
        Statistics(*np.load(folder / STATISTICS, allow_pickle=False)) if known else None,
        tuple(Column.from_json(column) for column in meta["columns"]),
    )


def write(dataset: Dataset, folder: Path) -> None:
    """Write a data set into ``folder``; complete once ``meta.json`` is there."""
    arrays = arrays_of(dataset.features, dataset.targets)
    for name, array in zip(_names(dataset.schema), arrays, strict=True):
        with _synced(folder / name) as stream:
            np.lib.format.write_array(stream, array, allow_pickle=False)
    if dataset.weights is not None:
        with _synced(folder / WEIGHTS) as stream:
            np.lib.format.write_array(stream, dataset.weights, allow_pickle=False)
    schema = dataset.schema
    found = statistics_of(dataset.features, schema.n_dense if schema.sparse else schema.n_features)
    facts = replace(dataset.facts, statistics=found)
    describe(schema, dataset.name, dataset.fingerprint, facts, folder)


def describe(schema: Schema, source: str, fingerprint: str, facts: Facts, folder: Path) -> None:
    """Say what the arrays in ``folder`` are."""
    more = (name for name in (APART, WEIGHTS) if (folder / name).exists())
    names = (*_names(schema), *more)
    if facts.statistics is not None and len(facts.statistics.count):
        names += (STATISTICS,)
        with _synced(folder / STATISTICS) as stream:
            np.lib.format.write_array(stream, facts.statistics.array(), allow_pickle=False)
    meta = {
        "format": FORMAT,
        "source": source,
        "schema": schema.to_json(),
        "fingerprint": fingerprint,
        "bytes": _sizes(folder, names),
        "crc32": checksums(folder, names),
        "names": list(facts.names),
        "all_names": list(facts.all_names),
        "skipped": [asdict(fault) for fault in facts.skipped],
        "reading": dict(facts.reading),
        "target": facts.target.to_json(),
        "columns": [column.to_json() for column in facts.columns],
    }
    with _synced(folder / "meta.json") as stream:
        stream.write(json.dumps(meta).encode())


@contextmanager
def _synced(path: Path) -> Iterator[BinaryIO]:
    with path.open("wb") as stream:
        yield stream
        flush(stream)
