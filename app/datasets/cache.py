"""Data sets converted once per machine and memory-mapped by all its processes.

    FOLDER/DIGEST.lock      held while somebody converts
    FOLDER/DIGEST.partial/  being written by the holder of the lock, or left by a killed one
    FOLDER/DIGEST/          complete: features.npy, targets.npy, meta.json

The digest covers the source, its options and, for files, the content. A folder appears
under its final name by one rename, so nobody ever maps half a data set. Old data sets stay;
FOLDER may be deleted while no conversion is under way.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from app.datasets.dataset import Dataset
from app.datasets.files import digest
from app.datasets.schema import Schema
from app.datasets.sources import Options, is_file, load, opened, resolve
from app.errors import DataError

#: Raise it when the files in the cache, or what ``load`` makes of a source, change.
FORMAT = 2

ARRAYS = ("features.npy", "targets.npy")


def default_cache_folder() -> Path:
    """``$DISTBELIEF_CACHE``, else ``$XDG_CACHE_HOME/distbelief``, else ``~/.cache/distbelief``."""
    if chosen := os.environ.get("DISTBELIEF_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "distbelief"


def open_cached(source: str, options: Options, folder: Path) -> Dataset:
    """Open the data set of ``load(source, options)`` as read-only memory maps.

    The first process on a machine converts, the others wait for it; a damaged cache is
    converted again. A file is read once per call to notice that it has changed.

    Raises:
        DataError: as ``load``; or the cache folder cannot be written.
    """
    content = _content(source)
    complete = folder / _digest(source, options, content)
    dataset = _open(complete, source)
    if dataset is not None:
        return dataset
    try:
        with _locked(complete.with_name(f"{complete.name}.lock")):
            dataset = _open(complete, source)  # somebody may have been faster
            if dataset is None:
                _convert(source, options, content, complete)
                dataset = _open(complete, source)
    except OSError as error:
        raise DataError(
            f"{source}: cannot write the data cache in {folder} ({error.strerror}); "
            "set DISTBELIEF_CACHE to a folder with room that you may write to"
        ) from error
    if dataset is None:
        raise DataError(f"{source}: the data cache {complete} was damaged as soon as written")
    return dataset


def _content(source: str) -> str | None:
    """Digest of the bytes of a source's files; None for a source that is made."""
    if not is_file(source):
        return None
    with opened(source) as streams:
        return digest(*streams)


def _digest(source: str, options: Options, content: str | None) -> str:
    text = json.dumps([FORMAT, source, resolve(source, options), content], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on ``path``; the kernel lets go of it if we are killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _open(folder: Path, source: str) -> Dataset | None:
    """Map the data set in ``folder``; None unless everything is there in its full size."""
    try:
        meta = json.loads((folder / "meta.json").read_text())
        if meta["format"] != FORMAT or meta["bytes"] != _sizes(folder):
            return None
        features, targets = (np.lib.format.open_memmap(folder / name, mode="r") for name in ARRAYS)
        return Dataset(
            features, targets, Schema.from_json(meta["schema"]), source, meta["fingerprint"]
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _sizes(folder: Path) -> list[int]:
    return [(folder / name).stat().st_size for name in ARRAYS]


def _convert(source: str, options: Options, content: str | None, complete: Path) -> None:
    """Write beside ``complete``, then move it there; the caller holds the lock."""
    dataset = load(source, options)
    if content not in (None, dataset.fingerprint):
        raise DataError(f"{source}: the file changed while it was read, try again")
    partial = complete.with_name(f"{complete.name}.partial")
    for leftover in (partial, complete):
        shutil.rmtree(leftover, ignore_errors=True)
    partial.mkdir()
    try:
        _write(dataset, partial)
        partial.rename(complete)
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # after a full disk or Ctrl-C


def _write(dataset: Dataset, folder: Path) -> None:
    for name, array in zip(ARRAYS, (dataset.features, dataset.targets), strict=True):
        with _synced(folder / name) as stream:
            np.lib.format.write_array(stream, array, allow_pickle=False)
    meta = {
        "format": FORMAT,
        "schema": dataset.schema.to_json(),
        "fingerprint": dataset.fingerprint,
        "bytes": _sizes(folder),
    }
    with _synced(folder / "meta.json") as stream:
        stream.write(json.dumps(meta).encode())


@contextmanager
def _synced(path: Path) -> Iterator[BinaryIO]:
    """Write a file down to the disk, so that a power cut leaves no right size full of zeros."""
    with path.open("wb") as stream:
        yield stream
        stream.flush()
        os.fsync(stream.fileno())
