"""Files and folders that appear in one step: others see the old one or the new, never half.

Whoever writes does so under another name beside the final one, and renames. A writer that is
killed may leave such a ``.partial``, never half a file under the final name.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from distbelief.app.errors import ConfigError

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}


@contextmanager
def replacing(path: Path, *, flushed: bool = True) -> Iterator[Path]:
    """Give a path to write a file to; when all is done it takes the place of ``path``.

    After an error everything is as before, and nothing is left. Folders on the way are made. One
    that can be made again need not be ``flushed``: after a power cut it may be damaged.
    A symbolic link stays one, and the file that it names is replaced. A file that was there
    keeps its mode; a new one has that of the umask, whatever library wrote it.

    Raises:
        ConfigError: there is a folder, a device or a pipe, which nobody wants replaced.
        OSError: the file cannot be written.
    """
    target = Path(os.path.realpath(path))
    if found := obstacle(target):
        raise ConfigError(f"{path} is {found}, which no file may replace: name a file")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError:  # of a file, where a folder should be
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from None
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        mode = _create(partial)
        with suppress(FileNotFoundError):
            mode = stat.S_IMODE(target.stat().st_mode) & 0o777
            partial.chmod(mode | stat.S_IWUSR)  # before there is anything to be read
        yield partial
        if flushed:
            with partial.open("rb") as file:
                os.fsync(file.fileno())
        partial.chmod(mode)
        partial.replace(target)
    finally:
        with suppress(OSError):  # it has been renamed, or there is nowhere to be
            partial.unlink()


def obstacle(path: Path) -> str | None:
    """The thing at ``path`` in words, if it is no regular file; None also if nothing is there."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return None
    return None if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "no regular file")


@contextmanager
def new_folder(final: Path, partial: Path, *, resumed: bool = False) -> Iterator[Path]:
    """Make the folder ``partial`` to write to; when all is done it is called ``final``.

    After an error nothing is left, but if it may be ``resumed``: then ``partial`` stays for
    whoever comes next.

    Raises:
        FileExistsError: ``partial`` is there: another writer was killed, or is at work.
        OSError: a folder cannot be made, or ``final`` is there already.
    """
    try:
        partial.mkdir(exist_ok=resumed)
        yield partial
        _flush_folder(partial)
        partial.rename(final)
        _flush_folder(final.parent)
    finally:
        if not resumed:
            shutil.rmtree(partial, ignore_errors=True)


def flush(file: IO[Any]) -> None:
    """Write to the disk, so that a power cut leaves no right size full of zeros."""
    file.flush()
    os.fsync(file.fileno())


def _create(path: Path) -> int:
    """Make an empty file; its mode, which is that of the umask."""
    with path.open("xb") as file:
        return stat.S_IMODE(os.fstat(file.fileno()).st_mode)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
