"""Data sets converted once per machine and mapped, or read in place, by all its processes.

    FOLDER/DIGEST.lock      held while somebody converts
    FOLDER/DIGEST.partial/  being written by the holder of the lock, or left by a killed one
    FOLDER/DIGEST/          complete: arrays (stored.DENSE or stored.SPARSE), meta.json
    FOLDER/KEY.digest       the digest of a file's content (content.py)

The digest covers the source, its options and, for files, the content. A folder appears
under its final name by one rename, so nobody ever maps half a data set. After a conversion what
was unused for longest goes, until the rest is within ``$DISTBELIEF_CACHE_LIMIT`` (upkeep.py).
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distbelief.app.datasets.cache.conversion import Conversion, plan
from distbelief.app.datasets.cache.place import default_cache_folder as default_cache_folder
from distbelief.app.datasets.cache.upkeep import cache_limit, mark_used, prune
from distbelief.app.datasets.examples import stored
from distbelief.app.datasets.examples.compatibility import Compatibility
from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.formats.options import Options
from distbelief.app.datasets.reading.reader import Progress
from distbelief.app.datasets.reading.weights import AUTO, WEIGHT
from distbelief.app.datasets.sources.source import HandedOver, parse
from distbelief.app.errors import DataError
from distbelief.app.files.atomic import new_folder


def open_cached(
    source: str,
    options: Options,
    folder: Path,
    *,
    compatibility: Compatibility | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Open a data set, read-only: small arrays as memory maps, large ones read in place.

    The first process on a machine converts, the others wait for it; a damaged cache is
    converted again. Whether a file has changed is looked up at each call.

    Args:
        source: see :mod:`distbelief.app.datasets.sources.source`.
        options: of the source.
        folder: of the cache.
        compatibility: what the data must fit; its labels are used, and with them its numbers.
        progress: told how far a conversion is, if there is one.

    Raises:
        DataError: the source, an option or the data is unusable; or the cache folder cannot
            be written.
    """
    found = parse(source)
    if isinstance(found, HandedOver):
        return found.open(compatibility)
    conversion = plan(found, options, compatibility, folder, progress)
    complete = folder / conversion.digest
    dataset = stored.open_folder(complete, source)
    if dataset is not None:
        mark_used(complete)
        return _with_weights(dataset, options)
    limit = cache_limit()
    try:
        with locked(complete.with_name(f"{complete.name}.lock")):
            dataset = stored.open_folder(complete, source)  # somebody may have been faster
            if dataset is None:
                _convert(conversion, complete)
                dataset = stored.open_folder(complete, source)
    except OSError as error:
        raise not_written(source, folder, error) from error
    if dataset is None:
        raise DataError(f"{source}: the data cache {complete} was damaged as soon as written")
    prune(folder, limit, keep=complete)
    return _with_weights(dataset, options)


def not_written(source: str, folder: Path, error: OSError) -> DataError:
    """The error that the cache in ``folder`` cannot be written."""
    return DataError(
        f"{source}: cannot write the data cache in {folder} ({error.strerror}); "
        "set DISTBELIEF_CACHE to a folder with room that you may write to"
    )


def _with_weights(dataset: Dataset, options: Options) -> Dataset:
    """The data set; DataError if it has no weights although the user says where they are.

    Where other data or a model say it, they may be absent.
    """
    weight = options.get(WEIGHT, AUTO)
    if weight is not False and weight != AUTO and dataset.weights is None:
        raise DataError(f"{dataset.name}: option weight: there is no column {str(weight)!r}")
    return dataset


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on ``path``; the kernel lets go of it if we are killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():  # the flag below is for one that comes this very moment
        raise OSError(errno.ELOOP, f"{path.name} is a symbolic link, which nobody of us made")
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _convert(conversion: Conversion, complete: Path) -> None:
    """Write beside ``complete``, then move it there; the caller holds the lock."""
    partial = complete.with_name(f"{complete.name}.partial")
    for leftover in (partial, complete):
        shutil.rmtree(leftover, ignore_errors=True)
    with new_folder(complete, partial):
        conversion.write(partial)
