"""Images and labels as MNIST has them: two files in the IDX format, perhaps gzipped.

    bytes 0-3   0, 0, 8 (unsigned bytes follow), number of dimensions
    then        the length of each dimension, 4 bytes each, big-endian
    then        the bytes, the last dimension fastest

The labels lie beside the images, under the same name with ``labels`` and ``idx1``.
"""

from __future__ import annotations

import gzip
import math
import os
import re
import struct
from collections.abc import Sequence
from io import BufferedReader
from typing import BinaryIO, cast

import numpy as np

from distbelief.app.datasets.formats.in_memory import Array, InMemoryFormat
from distbelief.app.datasets.reading.whole_files import check_room, wording_errors
from distbelief.app.errors import DataError

#: Of memory for each byte of a file: itself, and the float32 that becomes of it.
PIXEL_BYTES = 5

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
    packed, stored = source.endswith(".gz"), os.fstat(stream.fileno()).st_size
    unpacked = cast("BinaryIO", gzip.GzipFile(fileobj=stream)) if packed else stream
    with wording_errors(source):
        shape = _shape(unpacked.read(4 + 4 * n_dimensions), source, n_dimensions)
        announced, holds = math.prod(shape), stored - unpacked.tell()
        if packed or holds == announced:
            check_room(announced, stored, source, packed=packed, each=PIXEL_BYTES)
            content = unpacked.read(announced)
            holds = len(content) + len(unpacked.read(1))  # to the checksum of a gzip file
    if holds != announced:
        more = "more" if packed and holds > announced else str(holds)
        raise DataError(
            f"{source}: the file announces {' x '.join(map(str, shape))} bytes and holds {more}"
        )
    return np.frombuffer(content, np.uint8).reshape(shape)


def _shape(header: bytes, source: str, n_dimensions: int) -> tuple[int, ...]:
    if header[:4] != bytes((0, 0, 8, n_dimensions)):
        raise DataError(
            f"{source}: this is no IDX file of unsigned bytes in {n_dimensions} dimensions, "
            f"it begins with {header[:4].hex(' ') or 'nothing'}"
        )
    if len(header) < 4 + 4 * n_dimensions:
        raise DataError(
            f"{source}: the file is cut short in its first {4 + 4 * n_dimensions} bytes"
        )
    return struct.unpack_from(f">{n_dimensions}I", header, 4)


def _paths(images: str) -> list[str]:
    return [images, labels_of(images)]


def _read(streams: Sequence[BufferedReader], source: str) -> tuple[Array, Array]:
    return read_images(streams[0], source), read_labels(streams[1], labels_of(source))


IDX = InMemoryFormat(is_images, _paths, _read, read_images)
