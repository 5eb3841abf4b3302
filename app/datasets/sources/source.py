"""A data source, parsed once from what the user wrote into what it is.

digits, synthetic:...         Generated   made, not read
.npz, images in IDX           File        read into memory
CSV, LIBSVM, Parquet, .npy    Stream      read in chunks: a file, folder, pattern or URL
arrays:FOLDER                 HandedOver  arrays of the program that trains
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Collection, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np

from distbelief.app.datasets.examples.checks import check_targets
from distbelief.app.datasets.examples.column import Column
from distbelief.app.datasets.examples.compatibility import Compatibility
from distbelief.app.datasets.examples.dataset import Dataset, Facts, Features
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.datasets.examples.sparse import arrays_of
from distbelief.app.datasets.examples.target_facts import TargetFacts
from distbelief.app.datasets.examples.weights import as_weights
from distbelief.app.datasets.formats import arrays
from distbelief.app.datasets.formats.in_memory import Array, InMemoryFormat
from distbelief.app.datasets.formats.options import (
    MISSING_OPTIONS,
    TARGET_OPTIONS,
    Options,
    format_of,
    missing_settings,
    wanted_targets,
)
from distbelief.app.datasets.formats.registry import IN_MEMORY, completed, open_reader
from distbelief.app.datasets.reading.access import check_access, is_url
from distbelief.app.datasets.reading.digests import digest
from distbelief.app.datasets.reading.files import is_pattern, local_path
from distbelief.app.datasets.reading.matrix import as_matrix
from distbelief.app.datasets.reading.reader import Progress, Reader
from distbelief.app.datasets.reading.spelling import hint
from distbelief.app.datasets.reading.use import TRAINING, Use
from distbelief.app.datasets.reading.weights import WEIGHT
from distbelief.app.datasets.reading.whole_files import open_file
from distbelief.app.datasets.sources.generators import GENERATORS
from distbelief.app.datasets.targets.column import TargetColumn
from distbelief.app.datasets.targets.wanted import Wanted
from distbelief.app.errors import DataError

_PASSWORD = re.compile("://[^/]*:[^/]*@")


@dataclass(frozen=True)
class Generated:
    """A data set that is made by one of :data:`GENERATORS`."""

    name: str

    def checked(self, options: Options) -> dict[str, Any]:
        """All options, with the defaults filled in; raises DataError."""
        known = GENERATORS[self.name].options
        _check_known(self.name, options, known)
        given = {name: options.get(name, option.default) for name, option in known.items()}
        return {
            name: known[name].check(f"{self.name}: option {name}", value)
            for name, value in given.items()
            if value is not None
        }

    def absolute(self) -> str:
        """The source as any process may write it, whatever its working directory."""
        return self.name

    def load(self, options: Options) -> Dataset:
        """Make and validate the data set; raises DataError."""
        settings = self.checked(options)
        try:
            features, targets, schema = GENERATORS[self.name].make(**settings)
        except (MemoryError, ValueError) as error:  # NumPy's words for "far too large"
            raise DataError(f"{self.name}: the data set cannot be made: {error}") from error
        content = hashlib.blake2b(json.dumps([self.name, settings]).encode(), digest_size=16)
        for array in arrays_of(features, targets):
            content.update(array.data)
        dataset = Dataset(features, targets, schema, self.name, content.hexdigest())
        dataset.validate()
        return dataset


@dataclass(frozen=True)
class File:
    """A file that is read into memory, in one of the formats :data:`IN_MEMORY`."""

    name: str
    format: InMemoryFormat

    def checked(self, options: Options) -> dict[str, Any]:
        """The options as they are; raises DataError."""
        wanted_targets(self.name, options)
        named = (WEIGHT,) if self.format.read_weights is not None else ()
        _check_known(self.name, options, (*TARGET_OPTIONS, *MISSING_OPTIONS, *named))
        missing_settings(options, self.name)
        return dict(options)

    def absolute(self) -> str:
        return _absolute(self.name)

    @contextmanager
    def open(self) -> Iterator[list[BufferedReader]]:
        """Open the file, and those that belong to it.

        Raises:
            DataError: one is missing or may not be read.
        """
        with ExitStack() as stack:
            paths = self.format.paths(self.name)
            yield [stack.enter_context(open_file(path)) for path in paths]

    def load(
        self,
        options: Options,
        wanted: Wanted | None = None,
        known: Compatibility | None = None,
    ) -> Dataset:
        """Read and validate the data set.

        ``wanted`` goes before what the options say of the targets; numbers become features as
        they did in the data that are ``known``.

        Raises:
            DataError: an option or the data is unusable.
        """
        self.checked(options)
        with self.open() as streams:
            fingerprint = digest(*streams)
            for stream in streams:
                stream.seek(0)
            x, y = self.format.read(streams, self.name)
            weights = self._weights(streams[0], y.size, options, known)
        features, columns = self._matrix(x, options, known, weights)
        check_targets(y, len(features), self.name, texts=True)
        with closing(
            TargetColumn(self.name, wanted or wanted_targets(self.name, options))
        ) as column:
            column.add(y)
            found = column.finish()
            targets: Array = np.concatenate(list(found.blocks))
        n = features.shape[1]
        schema = Schema(n, found.n_classes, labels=found.labels, target_origin=found.origin)
        reading = {name: options[name] for name in (*MISSING_OPTIONS, WEIGHT) if name in options}
        what = TargetFacts(guessed=found.what)
        facts = Facts(reading=reading, target=what, columns=columns)
        dataset = Dataset(features, targets, schema, self.name, fingerprint, facts, weights=weights)
        dataset.validate()
        return dataset

    def _weights(
        self, stream: BufferedReader, n: int, options: Options, known: Compatibility | None
    ) -> Array | None:
        """Weights by the name that was said; those of the ``known`` data need not be there."""
        read, name = self.format.read_weights, options.get(WEIGHT)
        wanted = name if name is not None or known is None else known.weight
        if read is None or wanted is None:
            return None
        stream.seek(0)
        found = read(stream, self.name, str(wanted))
        if found is None and name is not None:
            raise DataError(f"{self.name}: option weight: the file has no array named {name!r}")
        return None if found is None else as_weights(found, n, self.name)

    def features(self, options: Options, known: Compatibility) -> Features:
        """Features to predict from, as those of the ``known`` data; targets are ignored.

        Returns:
            float32, shape (n_examples, n_features), C-contiguous, finite.

        Raises:
            DataError: the file or its features are unusable.
        """
        with open_file(self.name) as stream:
            values = self.format.read_features(stream, self.name)
        return self._matrix(values, options, known)[0]

    def _matrix(
        self,
        values: Array,
        options: Options,
        known: Compatibility | None,
        weights: Array | None = None,
    ) -> tuple[Features, tuple[Column, ...]]:
        given = {**({} if known is None else known.options), **options}
        numbers = None if known is None else known.numbers
        return as_matrix(values, missing_settings(given, self.name), self.name, numbers, weights)


@dataclass(frozen=True)
class Stream:
    """Files that are read in chunks: one, a folder of them, a pattern, or a URL."""

    name: str

    def checked(self, options: Options) -> dict[str, Any]:
        """The options as they are; those of the format are checked when files are opened.

        Raises:
            DataError: options of the targets are wrong.
        """
        wanted_targets(self.name, options)
        return dict(options)

    def absolute(self) -> str:
        return _absolute(self.name)

    def completed(self, options: Options, known: Compatibility) -> dict[str, Any]:
        """As :func:`distbelief.app.datasets.formats.registry.completed`."""
        return completed(self.name, options, known.options)

    def open_reader(
        self, options: Options, progress: Progress | None = None, use: Use = TRAINING
    ) -> Reader:
        """Open a reader, as :func:`distbelief.app.datasets.formats.registry.open_reader`."""
        reading = {key: value for key, value in options.items() if key not in TARGET_OPTIONS}
        return open_reader(self.name, reading, progress, use)


@dataclass(frozen=True)
class HandedOver:
    """Arrays in the memory of the program that trains; it wrote them down for all processes."""

    name: str
    folder: Path

    def absolute(self) -> str:
        return self.name

    def open(self, compatibility: Compatibility | None = None) -> Dataset:
        """Open the arrays; raises DataError if they are gone, do not fit, or may not be opened."""
        check_access(str(self.folder))
        return arrays.open_arrays(self.folder, self.name, compatibility)


Source = Generated | File | Stream | HandedOver


def parse(source: str) -> Source:
    """Say what ``source`` is; files need not be there.

    Raises:
        DataError: it is none of them, or holds a password.
    """
    _check_no_password(source)
    if source.startswith(arrays.PREFIX):
        return HandedOver(source, Path(source.removeprefix(arrays.PREFIX)))
    if source in GENERATORS:
        return Generated(source)
    for each in IN_MEMORY:
        if each.matches(source):
            return File(source, each)
    if is_url(source) or is_pattern(source) or format_of(source) is not None or _exists(source):
        return Stream(source)
    raise DataError(
        f"unknown data source {source!r}: use {', '.join(GENERATORS)}, a file, a folder or a "
        f"pattern of files, or a URL; there is no such file (seen from {Path.cwd()})"
        f"{hint(source, GENERATORS)}"
    )


def _exists(source: str) -> bool:
    return bool(source) and Path(source).expanduser().exists()


def _absolute(source: str) -> str:
    """The path that any process of this machine may use; links keep their names."""
    path = local_path(source)
    return source if path is None else os.path.abspath(path)


def _check_no_password(source: str) -> None:
    if _PASSWORD.search(source):
        raise DataError(
            "a data source must not hold a password, it is written down with the run: give "
            "credentials to the file system of the coordinator and of each worker"
        )


def _check_known(source: str, options: Options, known: Collection[str]) -> None:
    for name in options:
        if name not in known:
            raise DataError(
                f"{source}: unknown option {name!r}, known are: {', '.join(known) or 'none'}"
                f"{hint(name, known)}"
            )
