"""Files of this machine that are read into memory as a whole: measured first."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from tokenize import TokenError

from distbelief.app.datasets.reading.access import check_access
from distbelief.app.errors import DataError
from distbelief.app.files.memory import available_memory, size_text

#: Deflate, the compression of gzip and zip, makes at most so many bytes of one.
MOST_INFLATED = 1032

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
def open_file(path: str) -> Iterator[BufferedReader]:
    """Open a data file for reading.

    Raises:
        DataError: it is missing, no regular file, or may not be read or opened here.
    """
    check_access(path)
    if (found := Path(path).expanduser()).exists() and not found.is_file() and not found.is_dir():
        raise DataError(f"{path}: this is no regular file, and reading it might never end")
    try:
        stream = Path(path).expanduser().open("rb")
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file (seen from {Path.cwd()})") from None
    except IsADirectoryError:
        raise DataError(f"{path}: this is a folder, a file is needed") from None
    except OSError as error:
        raise DataError(f"{path}: the file cannot be read: {error.strerror}") from error
    with stream:
        yield stream


def check_room(n_bytes: int, stored: int, source: str, *, packed: bool, each: int = 2) -> None:
    """Look whether ``n_bytes`` of an array that a file announces can be, and be had.

    Args:
        n_bytes: that are announced.
        stored: bytes in the file.
        source: the file, for messages.
        packed: whether those are compressed.
        each: bytes of memory for one of the array: itself, and what is made of it.

    Raises:
        DataError: the file is too small for that, or there is not enough memory.
    """
    if n_bytes > stored * (MOST_INFLATED if packed else 1):
        raise DataError(
            f"{source}: the file announces an array of {size_text(n_bytes)}, which its "
            f"{size_text(stored)} cannot hold"
        )
    have = available_memory()
    if n_bytes * each > have:
        raise DataError(
            f"{source}: the file holds an array of {size_text(n_bytes)}, to read it takes "
            f"{size_text(n_bytes * each)}, and {size_text(have)} of memory are left here: write it "
            "as .npy or .parquet, which are read in parts"
        )


@contextmanager
def wording_errors(source: str) -> Iterator[None]:
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
