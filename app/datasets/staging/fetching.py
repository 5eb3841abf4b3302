"""Staged data as a worker opens them: fetched once for a machine, into its cache.

    CACHE/staged-DIGEST.lock      held while somebody fetches
    CACHE/staged-DIGEST.partial/  what has come so far; whoever goes on checks it, and keeps it
    CACHE/staged-DIGEST/          complete: a data set like any other in the cache

Nothing is believed but the digest: what comes is compared piece by piece, and before it is
opened it is looked at as data of a user are.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from distbelief.app.datasets.cache.opening import locked, not_written
from distbelief.app.datasets.cache.upkeep import (
    LIMIT_VARIABLE,
    STAGED,
    cache_limit,
    mark_used,
    prune,
)
from distbelief.app.datasets.examples import stored
from distbelief.app.datasets.examples.checks import check_entries
from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.examples.sparse import SparseFeatures
from distbelief.app.datasets.reading.digests import digest_of
from distbelief.app.datasets.staging.depot import MANIFEST, Depot
from distbelief.app.datasets.staging.manifest import Manifest
from distbelief.app.errors import DataError
from distbelief.app.files.atomic import new_folder

log = logging.getLogger(__name__)

#: How often a piece is asked for that is not there: its coordinator may be putting it back.
POLL_S = 0.5


def open_staged(
    source: str, digest: str, depot: Depot, folder: Path, patience_s: float = 60.0
) -> Dataset:
    """Open data that are staged, through the cache in ``folder``.

    Args:
        source: the data as the run names them, for messages.
        digest: of their manifest.
        depot: where the pieces are.
        folder: of the cache.
        patience_s: how long a piece may be away.

    Raises:
        DataError: they are not there as they were laid down, are unusable, or larger than the
            cache may be; or the cache cannot be written.
        ServerError: where they lie does not answer.
    """
    complete = folder / f"{STAGED}{digest}"
    dataset = stored.open_folder(complete, source)
    if dataset is None:
        try:
            with locked(folder / f"{complete.name}.lock"):
                dataset = stored.open_folder(complete, source)  # somebody may have been faster
                if dataset is None:
                    shutil.rmtree(complete, ignore_errors=True)
                    dataset = _Fetching(source, digest, depot, patience_s).into(complete)
        except OSError as error:
            raise not_written(source, folder, error) from error
        prune(folder, cache_limit(), keep=complete)
    mark_used(complete)
    return dataset


class _Fetching:
    def __init__(self, source: str, digest: str, depot: Depot, patience_s: float) -> None:
        self._source = source
        self._digest = digest
        self._depot = depot
        self._patience_s = patience_s

    def into(self, complete: Path) -> Dataset:
        """Fetch everything; the folder has its final name once all was looked at."""
        manifest = self._manifest()
        log.info("fetching %s (%s bytes) from %s", self._source, manifest.nbytes, self._depot.place)
        partial = complete.with_name(f"{complete.name}.partial")
        with new_folder(complete, partial, resumed=True):
            self._fill(partial, manifest)
            self._check(partial)
        dataset = stored.open_folder(complete, self._source)
        if dataset is None:
            raise DataError(f"{self._source}: the data cache {complete} was damaged at once")
        return dataset

    def _manifest(self) -> Manifest:
        [text] = self._read([MANIFEST], [self._digest])
        try:
            manifest = Manifest.read(text)
        except ValueError as error:
            raise DataError(f"{self._source}: {self._depot.place} has {error}") from None
        limit = cache_limit()
        if manifest.nbytes > limit:
            raise DataError(
                f"{self._source}: the staged data have {manifest.nbytes:,} bytes, and the cache of "
                f"this worker may have {limit:,}: raise {LIMIT_VARIABLE} there"
            )
        return manifest

    def _fill(self, folder: Path, manifest: Manifest) -> None:
        """Write the files, but for pieces that are there already."""
        with ExitStack() as stack:
            files = {}
            for name, size in manifest.files:
                descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
                stack.callback(os.close, descriptor)
                os.ftruncate(descriptor, size)
                files[name] = descriptor
            lacking = [
                number
                for number, piece in enumerate(manifest.pieces, 1)
                if digest_of(os.pread(files[piece.file], piece.size, piece.start))
                != manifest.digests[number - 1]
            ]
            for start in range(0, len(lacking), self._depot.window):
                some = lacking[start : start + self._depot.window]
                found = self._read(some, [manifest.digests[number - 1] for number in some])
                for number, content in zip(some, found, strict=True):
                    piece = manifest.pieces[number - 1]
                    os.pwrite(files[piece.file], content, piece.start)
            for descriptor in files.values():
                os.fsync(descriptor)

    def _read(self, numbers: Sequence[int], digests: Sequence[str]) -> list[bytes]:
        """The content of some pieces as it was laid down, waited for."""
        expected = dict(zip(numbers, digests, strict=True))
        found: dict[int, bytes] = {}
        deadline = time.monotonic() + self._patience_s
        while True:
            lacking = [number for number in numbers if number not in found]
            came = zip(lacking, self._depot.read(self._digest, lacking), strict=True)
            for number, content in came:
                if content is not None and digest_of(content) == expected[number]:
                    found[number] = content
            lacking = [number for number in lacking if number not in found]
            if not lacking:
                return [found[number] for number in numbers]
            if time.monotonic() > deadline:
                raise DataError(
                    f"{self._source}: piece {lacking[0]} of the staged data is not at "
                    f"{self._depot.place} as it was laid down, after {self._patience_s:g} s: does "
                    "the run's coordinator live, which puts it back?"
                )
            time.sleep(POLL_S)

    def _check(self, folder: Path) -> None:
        """Raise DataError unless the files are data that a model can be trained on."""
        dataset = stored.open_folder(folder, self._source)
        if dataset is None:
            raise DataError(f"{self._source}: what is staged is no data set of this version")
        # Mapped, whatever their size: what is only read in place cannot be looked at as a whole.
        targets, n = _mapped(folder / "targets.npy"), dataset.n_features
        if not isinstance(dataset.features, SparseFeatures):
            features = _mapped(folder / "features.npy")
            replace(dataset, features=features, targets=targets).validate()
            if features.shape[1] != n:
                raise DataError(f"{self._source}: what is staged has not the columns that it says")
            return
        replace(dataset, targets=targets).validate()
        indptr, indices = (_mapped(folder / name) for name in ("indptr.npy", "indices.npy"))
        check_entries(indptr, indices, n, self._source)


def _mapped(path: Path) -> Any:
    return np.lib.format.open_memmap(path, mode="r").view(np.ndarray)
