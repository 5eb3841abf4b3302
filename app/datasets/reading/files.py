"""Data files, wherever they lie: local paths and fsspec URLs, folders and patterns.

Only this file knows that some files are elsewhere. Messages name a file as the user could
write it, URL and all.
"""

from __future__ import annotations

import glob
import lzma
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from gzip import BadGzipFile
from pathlib import Path
from typing import Any, BinaryIO, Protocol
from urllib.parse import unquote

from distbelief.app.datasets.reading.access import check_access, is_url
from distbelief.app.errors import DataError
from distbelief.app.files.near import near
from distbelief.app.settings.extras import installation, needed

#: Older ones run, and open, what a reference file (reference://) says.
OLDEST_FSSPEC = (2026, 6)

#: The folder of the rows whose value is missing.
_MISSING_PARTITION = "__HIVE_DEFAULT_PARTITION__"


class FileSystem(Protocol):
    """The part of ``fsspec.AbstractFileSystem`` that is needed."""

    def exists(self, path: str) -> bool: ...
    def isdir(self, path: str) -> bool: ...
    def glob(self, path: str) -> list[str]: ...
    def ls(self, path: str, detail: bool) -> list[str]: ...
    def size(self, path: str) -> int | None: ...
    def checksum(self, path: str) -> Any: ...
    def open(self, path: str, mode: str) -> BinaryIO: ...
    def unstrip_protocol(self, name: str) -> str: ...


class _Local:
    """Files of this machine, which need no fsspec."""

    def exists(self, path: str) -> bool:
        return Path(path).exists()

    def isdir(self, path: str) -> bool:
        return Path(path).is_dir()

    def glob(self, path: str) -> list[str]:
        return glob.glob(path, recursive=True)

    def ls(self, path: str, detail: bool) -> list[str]:
        return [str(each) for each in Path(path).iterdir()]

    def size(self, path: str) -> int:
        return Path(path).stat().st_size

    def checksum(self, path: str) -> list[int]:
        status = Path(path).stat()
        return [status.st_size, status.st_mtime_ns, status.st_ino]

    def open(self, path: str, mode: str) -> BinaryIO:
        check_access(path)  # a link in a folder that is allowed may lead out of it
        if not Path(path).is_file():  # reading from a pipe or a terminal would wait
            raise OSError("this is neither a file nor a folder")
        return Path(path).open("rb")

    def unstrip_protocol(self, name: str) -> str:
        return name


@dataclass(frozen=True)
class DataFile:
    """One data file, local or remote.

    Attributes:
        name: as messages call it.
        size: bytes; None where the server does not say.
        partition: (name, value) of the columns that its folders stand for, ``name=value``.
    """

    name: str
    size: int | None
    path: str
    file_system: FileSystem
    partition: tuple[tuple[str, str], ...] = ()

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Open the file for reading, and word what goes wrong in the meantime.

        Raises:
            DataError: it cannot be opened or read on.
        """
        with _reading(self.name), self.file_system.open(self.path, "rb") as stream:
            yield stream

    @property
    def is_remote(self) -> bool:
        return not isinstance(self.file_system, _Local)

    def checksum(self) -> str:
        """A text for this version of the file, from its size, time of change, ...

        Raises:
            DataError: it does not answer.
        """
        with _reading(self.name):
            return str(self.file_system.checksum(self.path))

    def exists(self) -> bool:
        with _reading(self.name):
            return self.file_system.exists(self.path)

    def beside(self, name: str) -> DataFile:
        """The file of the name ``name`` beside this one."""
        folder = self.path.rpartition("/")[0]
        return _data_file(self.file_system, f"{folder}/{name}" if folder else name)


def local_path(source: str) -> str | None:
    """The path that ``source`` means, a path or ``file://`` URL; None if it is elsewhere."""
    path = source.removeprefix("file://") if source.startswith("file:///") else source
    return None if is_url(path) else str(Path(path).expanduser())


def real_name(source: str) -> str:
    """The one name of a file that may be written in several ways."""
    path = local_path(source)
    return source if path is None else os.path.realpath(path)


def is_pattern(source: str) -> bool:
    """Whether ``source`` has ``*``, ``?`` or ``[...]`` in it."""
    return glob.has_magic(source)


def find_files(source: str) -> list[DataFile]:
    """The files that ``source`` means, in ascending order of their names.

    A path or URL of a file is that file; of a folder, all files in it, and in its folders where
    these are called ``name=value``, the partitions of a table as Hive and Spark write it. A
    pattern with ``*``, ``?`` or ``[...]`` is all that match. Names in folders and patterns
    that begin with ``.`` or ``_`` are skipped: they are notes of other programs.

    Raises:
        DataError: there is none, a folder has folders in it, a server does not answer, or
            files there may not be opened.
    """
    check_access(source, pattern=is_pattern(source))
    file_system, path = _file_system(source)
    with _reading(source):
        if file_system.isdir(path):
            return _in_folder(file_system, path, source)
        if file_system.exists(path):
            return [DataFile(source, file_system.size(path), path, file_system)]
        if not glob.has_magic(path):
            where = "" if is_url(source) else f" (seen from {Path.cwd()}){near(source)}"
            raise DataError(f"{source}: there is no such file or folder{where}")
        paths = sorted(each for each in file_system.glob(path) if not _is_hidden(each))
        if not paths:
            raise DataError(f"{source}: no file matches this pattern")
        return [_data_file(file_system, each) for each in paths]


def _in_folder(file_system: FileSystem, path: str, source: str) -> list[DataFile]:
    files = _partitions(file_system, path, source, ())
    if not files:
        raise DataError(f"{source}: there are no files in this folder")
    names = {tuple(name for name, _ in file.partition): file.name for file in files}
    if len(names) > 1:
        raise DataError(
            f"{source}: all files must lie in folders of the same name=value, "
            f"{' and '.join(names.values())} do not"
        )
    return files


def _partitions(
    file_system: FileSystem, path: str, source: str, partition: tuple[tuple[str, str], ...]
) -> list[DataFile]:
    files = []
    for each in sorted(file_system.ls(path, detail=False)):
        if _is_hidden(each):
            continue
        if not file_system.isdir(each):
            files.append(_data_file(file_system, each, partition))
            continue
        name, is_partition, value = _name(each).partition("=")
        if not is_partition:
            raise DataError(
                f"{source}: there is another folder in this folder, {_name(each)}; "
                f"give a pattern of the files, such as {source.rstrip('/')}/*.csv"
            )
        value = "" if value == _MISSING_PARTITION else unquote(value)
        files += _partitions(file_system, each, source, (*partition, (unquote(name), value)))
    return files


def _data_file(
    file_system: FileSystem, path: str, partition: tuple[tuple[str, str], ...] = ()
) -> DataFile:
    name = file_system.unstrip_protocol(path)
    with _reading(name):
        if file_system.isdir(path):
            raise DataError(f"{name}: this is a folder, a file is needed")
        size = file_system.size(path) if file_system.exists(path) else None
    return DataFile(name, size, path, file_system, partition)


def _file_system(source: str) -> tuple[FileSystem, str]:
    if (path := local_path(source)) is not None:
        return _Local(), path
    core = needed("fsspec.core", f"{source}: files at a URL need fsspec", "remote", DataError)
    _check_fsspec(source)
    with _reading(source):
        file_system, path = core.url_to_fs(source)
    return file_system, path


def _check_fsspec(source: str) -> None:
    import fsspec  # an extra

    found = tuple(int(part) for part in fsspec.__version__.split(".")[:2] if part.isdigit())
    if found < OLDEST_FSSPEC:
        oldest = ".".join(map(str, OLDEST_FSSPEC))
        raise DataError(
            f"{source}: fsspec {fsspec.__version__} is installed, and files at a URL are opened "
            f"with {oldest} or newer, which runs nothing that a file says: {installation('remote')}"
        )


def _name(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _is_hidden(path: str) -> bool:
    return _name(path).startswith((".", "_"))


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """Translate what file systems and decompression raise into DataError."""
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{name}: there is no such file") from None
    except EOFError:
        raise DataError(f"{name}: the compressed file is cut short") from None
    except (BadGzipFile, zlib.error) as error:
        raise DataError(f"{name}: this is no gzip file, or it is damaged ({error})") from error
    except lzma.LZMAError as error:
        raise DataError(f"{name}: this is no xz file, or it is damaged ({error})") from error
    except OSError as error:
        raise DataError(f"{name}: the file cannot be read: {_words(error)}") from error
    except Exception as error:
        # Drivers of remote storage have error trees of their own. Ours would look the same
        # here, so those of this machine pass.
        if not is_url(name):
            raise
        raise DataError(f"{name}: the file cannot be read: {_words(error)}") from error


def _words(error: Any) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
