"""Conversions of data sets into the files of the cache."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from distbelief.app.datasets.cache.content import digest_of_file, digest_of_files
from distbelief.app.datasets.examples import stored
from distbelief.app.datasets.examples.compatibility import Compatibility
from distbelief.app.datasets.examples.dataset import Dataset, Facts
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.datasets.examples.target_facts import TargetFacts
from distbelief.app.datasets.formats.options import Options, wanted_targets
from distbelief.app.datasets.reading.digests import joined
from distbelief.app.datasets.reading.files import DataFile, real_name
from distbelief.app.datasets.reading.packing import unpacked_name
from distbelief.app.datasets.reading.reader import Progress, Reader
from distbelief.app.datasets.reading.use import Use
from distbelief.app.datasets.sources.source import File, Generated, Stream
from distbelief.app.datasets.targets.wanted import Wanted
from distbelief.app.errors import DataError


class Conversion(ABC):
    """A data set on its way into the cache.

    Attributes:
        origin: what it is made of, however the user wrote it.
        options: of the source, checked.
        content: digest of the bytes of its files; None if it is made.
    """

    def __init__(
        self,
        name: str,
        options: Mapping[str, Any],
        content: str | None,
        compatibility: Compatibility | None,
        origin: Sequence[Any],
    ) -> None:
        self.name = name
        self.origin = origin
        self.options = options
        self.content = content
        self.compatibility = compatibility

    @property
    def digest(self) -> str:
        """Digest of all that decides how the data set looks in the cache."""
        other = self.compatibility
        known = other and {**other.to_json(), "name": None}
        facts = [stored.FORMAT, self.origin, self.options, self.content, known]
        text = json.dumps(facts, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    @property
    def wanted(self) -> Wanted:
        """Targets as the options want them, and as the other data or the model does."""
        own, other = wanted_targets(self.name, self.options), self.compatibility
        return replace(own, schema=other.schema, known_by=other.name) if other else own

    @abstractmethod
    def write(self, folder: Path) -> None:
        """Write the files into ``folder``.

        Raises:
            DataError: the data is unusable, not compatible, or has changed meanwhile.
            OSError: the folder cannot be written.
        """

    def _check_schema(self, schema: Schema) -> None:
        if self.compatibility is not None:
            self.compatibility.check(schema, self.name)

    def _write_loaded(self, dataset: Dataset, folder: Path) -> None:
        self._check_schema(dataset.schema)
        if self.compatibility is not None:
            self.compatibility.check_classes(dataset.schema, self.name)
        stored.write(dataset, folder)

    def _changed(self) -> DataError:
        return DataError(f"{self.name}: the file changed while it was read, try again")


class _GeneratedConversion(Conversion):
    def __init__(
        self, source: Generated, options: Options, compatibility: Compatibility | None
    ) -> None:
        super().__init__(source.name, source.checked(options), None, compatibility, [source.name])
        self._source = source

    def write(self, folder: Path) -> None:
        self._write_loaded(self._source.load(self.options), folder)


class _FileConversion(Conversion):
    def __init__(
        self, source: File, options: Options, compatibility: Compatibility | None, cache: Path
    ) -> None:
        checked = source.checked(options)
        with source.open() as streams:
            content = joined([digest_of_file(stream, cache) for stream in streams])
        origin = [real_name(source.name)]
        super().__init__(source.name, checked, content, compatibility, origin)
        self._source = source

    def write(self, folder: Path) -> None:
        dataset = self._source.load(self.options, self.wanted, self.compatibility)
        if dataset.fingerprint != self.content:
            raise self._changed()
        self._write_loaded(dataset, folder)


class _StreamConversion(Conversion):
    def __init__(
        self,
        source: Stream,
        options: Options,
        compatibility: Compatibility | None,
        cache: Path,
        progress: Progress | None,
    ) -> None:
        if compatibility is not None:
            options = source.completed(options, compatibility)
        checked = source.checked(options)
        self._reader = source.open_reader(options, progress, Use(known=compatibility))
        self._states = _states(self._reader)
        content = digest_of_files(self._reader.files, cache)
        origin = [self._reader.form, *map(_origin, self._reader.files)]
        super().__init__(source.name, checked, content, compatibility, origin)

    def write(self, folder: Path) -> None:
        from distbelief.app.datasets.cache.streaming import convert  # most are converted already

        reader = self._reader
        found = convert(reader, self.name, self.wanted, folder)
        if self._states != _states(reader):
            raise self._changed()
        self._check_schema(found.schema)
        assert self.content is not None
        columns = reader.columns
        facts = Facts(
            columns.names,
            tuple(reader.skipped),
            {"format": reader.form, **reader.reading_options},
            target=TargetFacts(reader.target, found.guessed),
            all_names=columns.all_names,
            statistics=found.statistics,
            columns=reader.table,
        )
        stored.describe(found.schema, self.name, self.content, facts, folder)


def plan(
    source: Generated | File | Stream,
    options: Options,
    compatibility: Compatibility | None,
    cache: Path,
    progress: Progress | None,
) -> Conversion:
    """Look at a source, without converting it yet; ``cache`` remembers digests of files.

    Raises:
        DataError: an option is wrong, or the files are not there or unusable.
    """
    match source:
        case Generated():
            return _GeneratedConversion(source, options, compatibility)
        case File():
            return _FileConversion(source, options, compatibility, cache)
        case Stream():
            return _StreamConversion(source, options, compatibility, cache, progress)


def _origin(file: DataFile) -> list[Any]:
    """A file whatever its folder is called; the ending of a link says what a delimiter is."""
    ending = unpacked_name(file.name).lower().rpartition(".")[2]
    return [real_name(file.name), ending, file.partition]


def _states(reader: Reader) -> list[str]:
    """For each file a text that changes when the file does."""
    return [file.checksum() for file in reader.files]
