"""Arrays of one .npz file: features and targets, without ever unpickling anything.

Features go by the first of ``FEATURE_NAMES`` that is there, targets by that of
``TARGET_NAMES``; the weights of the examples, if there are any, by the name that is said.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
from io import BufferedReader
from typing import Any

import numpy as np

from distbelief.app.datasets.formats.in_memory import Array, InMemoryFormat
from distbelief.app.datasets.formats.npy import read_header
from distbelief.app.datasets.reading.whole_files import check_room, wording_errors
from distbelief.app.errors import DataError

#: Names under which an .npz may hold its arrays; the first that is there counts.
FEATURE_NAMES = ("x", "X", "features", "data")
TARGET_NAMES = ("y", "Y", "labels", "targets", "target")


def is_npz(path: str) -> bool:
    """Whether the name is that of an .npz file."""
    return path.lower().endswith(".npz")


def read_arrays(stream: BufferedReader, source: str, *wanted: Sequence[str]) -> list[Array]:
    """For each sequence of alternative names in ``wanted`` the first array that is there.

    Raises:
        DataError: not an .npz file, cut short, an array is missing, damaged or pickled.
    """
    if not zipfile.is_zipfile(stream):
        raise DataError(
            f"{source}: this is not an .npz file, or it is cut short; write it with numpy.savez"
        )
    stream.seek(0)  # is_zipfile, or a digest, has read on
    with wording_errors(source), np.load(stream, allow_pickle=False) as archive:
        names = [_choose(archive.files, alternatives, source) for alternatives in wanted]
        return [_member(archive, name, source) for name in names]


def _choose(present: Sequence[str], alternatives: Sequence[str], source: str) -> str:
    for name in alternatives:
        if name in present:
            return name
    raise DataError(
        f"{source}: there must be an array named {' or '.join(alternatives)}, "
        f"the file holds {', '.join(present) or 'no arrays'}"
    )


def _member(archive: Any, name: str, source: str) -> Array:
    member = archive.zip.NameToInfo.get(f"{name}.npy")
    if member is None:
        raise DataError(f"{source}: the member {name} is not a NumPy array")
    with archive.zip.open(member) as stream:
        try:
            shape, _, dtype = read_header(stream)
        except ValueError as error:
            raise DataError(f"{source}: the member {name} is not a NumPy array: {error}") from error
        start = stream.tell()
    announced, holds = math.prod(shape) * dtype.itemsize, member.file_size - start
    if not dtype.hasobject:  # which NumPy refuses
        if announced != holds:
            raise DataError(
                f"{source}: the array {name} announces {announced} bytes and holds {holds}"
            )
        packed = member.compress_type != zipfile.ZIP_STORED
        check_room(announced, member.compress_size, source, packed=packed)
    array: Array = archive[name]
    return array


def _read(streams: Sequence[BufferedReader], source: str) -> tuple[Array, Array]:
    features, targets = read_arrays(streams[0], source, FEATURE_NAMES, TARGET_NAMES)
    return features, targets


def _read_features(stream: BufferedReader, source: str) -> Array:
    (features,) = read_arrays(stream, source, FEATURE_NAMES)
    return features


def _read_weights(stream: BufferedReader, source: str, name: str) -> Array | None:
    with wording_errors(source), np.load(stream, allow_pickle=False) as archive:
        return _member(archive, name, source) if name in archive.files else None


NPZ = InMemoryFormat(is_npz, lambda path: [path], _read, _read_features, _read_weights)
