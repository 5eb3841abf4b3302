"""Data sets converted once per machine and mapped, or read in place, by all its processes.

    FOLDER/DIGEST.lock      held while somebody converts
    FOLDER/DIGEST.partial/  being written by the holder of the lock, or left by a killed one
    FOLDER/DIGEST/          complete: arrays (stored.DENSE or stored.SPARSE), meta.json
    FOLDER/KEY.digest       the digest of a file's content (content.py)

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
from dataclasses import replace
from pathlib import Path
from typing import Any

from distbelief.app.datasets.cache.content import digest_of_file, digest_of_places
from distbelief.app.datasets.cache.conversion import convert
from distbelief.app.datasets.examples import stored
from distbelief.app.datasets.examples.dataset import Dataset, Facts
from distbelief.app.datasets.examples.targets import Wanted
from distbelief.app.datasets.formats.npz import joined
from distbelief.app.datasets.formats.opening import open_reader
from distbelief.app.datasets.formats.reader import Progress, Reader
from distbelief.app.datasets.sources import arrays
from distbelief.app.datasets.sources.like import Like
from distbelief.app.datasets.sources.sources import (
    FILE_OPTIONS,
    Options,
    is_file,
    is_stream,
    load,
    opened,
    resolve,
    wanted,
)
from distbelief.app.errors import DataError


def default_cache_folder() -> Path:
    """``$DISTBELIEF_CACHE``, else ``$XDG_CACHE_HOME/distbelief``, else ``~/.cache/distbelief``."""
    if chosen := os.environ.get("DISTBELIEF_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "distbelief"


def open_cached(
    source: str,
    options: Options,
    folder: Path,
    *,
    like: Like | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Open a data set, read-only: small arrays as memory maps, large ones read in place.

    The first process on a machine converts, the others wait for it; a damaged cache is
    converted again. Whether a file has changed is looked up at each call.

    Args:
        source: see :mod:`distbelief.app.datasets.sources.sources`.
        options: of the source.
        folder: of the cache.
        like: what the data must fit; its labels are used, and with them its numbers.
        progress: told how far a conversion is, if there is one.

    Raises:
        DataError: the source, an option or the data is unusable; or the cache folder cannot
            be written.
    """
    if arrays.are(source):
        return arrays.opened(source, like)
    options = like.options(source, options) if like else dict(options)
    found = _Source(source, options, like, folder, progress)
    complete = folder / found.digest
    dataset = stored.open_folder(complete, source)
    if dataset is not None:
        return dataset
    try:
        with _locked(complete.with_name(f"{complete.name}.lock")):
            dataset = stored.open_folder(complete, source)  # somebody may have been faster
            if dataset is None:
                _convert(found, complete)
                dataset = stored.open_folder(complete, source)
    except OSError as error:
        raise DataError(
            f"{source}: cannot write the data cache in {folder} ({error.strerror}); "
            "set DISTBELIEF_CACHE to a folder with room that you may write to"
        ) from error
    if dataset is None:
        raise DataError(f"{source}: the data cache {complete} was damaged as soon as written")
    return dataset


class _Source:
    """A data set before it is in the cache.

    Attributes:
        content: digest of the bytes of its files; None if it is made.
        digest: of all that decides how it looks in the cache.
        reader: of a stream, else None.
    """

    def __init__(
        self,
        name: str,
        options: dict[str, Any],
        like: Like | None,
        folder: Path,
        progress: Progress | None,
    ) -> None:
        self.name, self.like = name, like
        self.options = resolve(name, options)
        self.reader: Reader | None = None
        self.content: str | None = None
        if is_stream(name):
            reading = {key: value for key, value in options.items() if key not in FILE_OPTIONS}
            self.reader = open_reader(name, reading, progress)
            self._states = self.states()
            self.content = digest_of_places(self.reader.places, folder)
        elif is_file(name):
            with opened(name) as streams:
                self.content = joined([digest_of_file(stream, folder) for stream in streams])
        known = like and [like.schema.to_json(), like.name]
        text = json.dumps([stored.FORMAT, name, self.options, self.content, known], sort_keys=True)
        self.digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    @property
    def wanted(self) -> Wanted:
        """What the targets must be."""
        own = wanted(self.name, self.options)
        return replace(own, schema=self.like.schema, known_by=self.like.name) if self.like else own

    def states(self) -> list[str]:
        """What changes when a file of the stream does."""
        return [place.checksum() for place in self.reader.places] if self.reader else []

    def check_unchanged(self, fingerprint: str) -> None:
        """Raise DataError if the files are not any more what they were at first."""
        changed = self._states != self.states() if self.reader else self.content != fingerprint
        if is_file(self.name) and changed:
            raise DataError(f"{self.name}: the file changed while it was read, try again")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on ``path``; the kernel lets go of it if we are killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _convert(found: _Source, complete: Path) -> None:
    """Write beside ``complete``, then move it there; the caller holds the lock."""
    partial = complete.with_name(f"{complete.name}.partial")
    for leftover in (partial, complete):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        partial.mkdir()
        if found.reader is None:
            dataset = load(found.name, found.options, found.wanted)
            found.check_unchanged(dataset.fingerprint)
            if found.like:
                found.like.check(dataset.schema, found.name)
                found.like.check_classes(dataset.schema, found.name)
            stored.write(dataset, partial)
        else:
            _stream(found, found.reader, partial)
        partial.rename(complete)
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # after an error, a full disk or Ctrl-C


def _stream(found: _Source, reader: Reader, folder: Path) -> None:
    schema = convert(reader, found.name, found.wanted, folder)
    assert found.content is not None
    found.check_unchanged(found.content)
    if found.like:
        found.like.check(schema, found.name)
    facts = Facts(reader.columns.names, tuple(reader.skipped), reader.same)
    stored.describe(schema, found.content, facts, folder)
