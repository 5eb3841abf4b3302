"""Arrays from .npz files, without ever unpickling anything."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import numpy.typing as npt

from distbelief.app.errors import DataError

Array = npt.NDArray[Any]

#: Names under which an .npz may hold its arrays; the first that is there counts.
FEATURE_NAMES = ("x", "X", "features", "data")
TARGET_NAMES = ("y", "Y", "labels", "targets", "target")

#: What NumPy and zipfile raise on damaged, encrypted or absurdly large files.
_UNREADABLE = (
    EOFError,
    MemoryError,
    OSError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    TokenError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


@contextmanager
def open_file(source: str) -> Iterator[BufferedReader]:
    """Open a data file for reading.

    Raises:
        DataError: it is missing, a folder, or may not be read.
    """
    try:
        stream = Path(source).expanduser().open("rb")
    except FileNotFoundError:
        raise DataError(f"{source}: there is no such file (seen from {Path.cwd()})") from None
    except IsADirectoryError:
        raise DataError(f"{source}: this is a folder, a file is needed") from None
    except OSError as error:
        raise DataError(f"{source}: the file cannot be read: {error.strerror}") from error
    with stream:
        yield stream


def digest(*streams: BufferedReader) -> str:
    """BLAKE2b of the bytes from here to the end, in hexadecimal; of several: of their digests."""
    return joined([hashlib.file_digest(stream, _blake2b).hexdigest() for stream in streams])


def joined(digests: Sequence[str]) -> str:
    """One digest of several; of one alone, itself."""
    return digests[0] if len(digests) == 1 else _blake2b(" ".join(digests).encode()).hexdigest()


def _blake2b(content: bytes = b"") -> hashlib.blake2b:
    return hashlib.blake2b(content, digest_size=16)


def read_npz(stream: BufferedReader, source: str, *wanted: Sequence[str]) -> list[Array]:
    """For each sequence of alternative names in ``wanted`` the first array that is there.

    Raises:
        DataError: not an .npz file, cut short, an array is missing, damaged or pickled.
    """
    if not zipfile.is_zipfile(stream):
        raise DataError(
            f"{source}: this is not an .npz file, or it is cut short; write it with numpy.savez"
        )
    stream.seek(0)  # is_zipfile, or a digest, has read on
    with reading(source), np.load(stream, allow_pickle=False) as archive:
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
    array = archive[name]
    if not isinstance(array, np.ndarray):  # NumPy hands out foreign zip members as bytes
        raise DataError(f"{source}: the member {name} is not a NumPy array")
    return array


@contextmanager
def reading(source: str) -> Iterator[None]:
    """Translate what libraries raise on files that they cannot read into DataError."""
    try:
        yield
    except _UNREADABLE as error:
        if "Object arrays" in str(error) or "Python objects" in str(error):
            raise DataError(
                f"{source}: the file holds pickled Python objects, which are never loaded; "
                "store plain arrays of numbers"
            ) from error
        raise DataError(f"{source}: the file cannot be read: {error}") from error
