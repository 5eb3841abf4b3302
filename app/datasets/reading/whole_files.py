"""Files of this machine that are read into memory as a whole."""

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
