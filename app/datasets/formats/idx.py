"""Images and labels as MNIST has them: two files in the IDX format, perhaps gzipped.

    bytes 0-3   0, 0, 8 (unsigned bytes follow), number of dimensions
    then        the length of each dimension, 4 bytes each, big-endian
    then        the bytes, the last dimension fastest

The labels lie beside the images, under the same name with ``labels`` and ``idx1``.
"""

from __future__ import annotations

import gzip
import math
import re
import struct
from collections.abc import Sequence
from io import BufferedReader

import numpy as np

from distbelief.app.datasets.formats.in_memory import Array, InMemoryFormat
from distbelief.app.datasets.reading.whole_files import wording_errors
from distbelief.app.errors import DataError

_IMAGES = re.compile(r"images([-.])idx3-ubyte(\.gz)?$")


def is_images(path: str) -> bool:
    """Whether the name is that of images: ``...images-idx3-ubyte``, perhaps with ``.gz``."""
    return _IMAGES.search(path) is not None


def labels_of(images: str) -> str:
    """The path of the labels of ``images``."""
    return _IMAGES.sub(r"labels\1idx1-ubyte\2", images)


def read_images(stream: BufferedReader, source: str) -> Array:
    """Pixels from 0 to 1: float32, shape (n_examples, n_rows * n_columns).

    Raises:
        DataError: not a file of images, or it is cut short.
    """
    images = _read_file(stream, source, 3)
    examples, rows, columns = images.shape
    return np.divide(images.reshape(examples, rows * columns), 255, dtype=np.float32)


def read_labels(stream: BufferedReader, source: str) -> Array:
    """Labels: uint8, shape (n_examples,).

    Raises:
        DataError: not a file of labels, or it is cut short.
    """
    return _read_file(stream, source, 1)


def _read_file(stream: BufferedReader, source: str, n_dimensions: int) -> Array:
    with wording_errors(source):
        content = (gzip.GzipFile(fileobj=stream) if source.endswith(".gz") else stream).read()
    start = 4 + 4 * n_dimensions
    if content[:4] != bytes((0, 0, 8, n_dimensions)):
        raise DataError(
            f"{source}: this is no IDX file of unsigned bytes in {n_dimensions} dimensions, "
            f"it begins with {content[:4].hex(' ') or 'nothing'}"
        )
    if len(content) < start:
        raise DataError(f"{source}: the file is cut short in its first {start} bytes")
    shape = struct.unpack_from(f">{n_dimensions}I", content, 4)
    if len(content) - start != math.prod(shape):
        raise DataError(
            f"{source}: the file announces {' x '.join(map(str, shape))} bytes and holds "
            f"{len(content) - start}"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _paths(images: str) -> list[str]:
    return [images, labels_of(images)]


def _read(streams: Sequence[BufferedReader], source: str) -> tuple[Array, Array]:
    return read_images(streams[0], source), read_labels(streams[1], labels_of(source))


IDX = InMemoryFormat(is_images, _paths, _read, read_images)
