"""All formats, and a reader for files by their name or content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from distbelief.app.datasets.formats.content import advice, certain_format, format_by_content
from distbelief.app.datasets.formats.csv import CsvReader
from distbelief.app.datasets.formats.idx import IDX
from distbelief.app.datasets.formats.in_memory import InMemoryFormat
from distbelief.app.datasets.formats.libsvm import LibsvmReader
from distbelief.app.datasets.formats.npy import NpyReader, without_targets
from distbelief.app.datasets.formats.npz import NPZ
from distbelief.app.datasets.formats.options import (
    KNOWN,
    TABLES,
    Options,
    format_of,
    resolve,
)
from distbelief.app.datasets.formats.parquet import ParquetReader
from distbelief.app.datasets.reading.files import DataFile, find_files
from distbelief.app.datasets.reading.reader import Progress, Reader
from distbelief.app.datasets.reading.spelling import hint
from distbelief.app.datasets.reading.use import TRAINING, Use
from distbelief.app.datasets.reading.weights import AUTO, WEIGHT
from distbelief.app.errors import DataError


class _Factory(Protocol):
    def __call__(
        self,
        files: Sequence[DataFile],
        settings: Mapping[str, Any],
        progress: Progress | None,
        use: Use,
    ) -> Reader: ...


#: Formats of files that fit into memory.
IN_MEMORY: tuple[InMemoryFormat, ...] = (NPZ, IDX)

#: Formats that are read in chunks, by the names in :data:`KNOWN`.
READERS: Mapping[str, _Factory] = {
    "csv": CsvReader,
    "libsvm": LibsvmReader,
    "parquet": ParquetReader,
    "npy": NpyReader,
}


def open_reader(
    source: str, options: Options, progress: Progress | None = None, use: Use = TRAINING
) -> Reader:
    """Open a reader of the files that ``source`` means.

    Args:
        source: path or URL of a file, a folder of files, or a pattern
            (:func:`distbelief.app.datasets.reading.files.find_files`); all of one format.
        options: see :mod:`distbelief.app.datasets.formats.options`.
        progress: told how far the reader is.
        use: what they are read for.

    Raises:
        DataError: there are no such files, their format is not known, an option is wrong,
            or the columns of the first file do not make sense.
    """
    files = find_files(source)
    form = _format(source, files, options)
    settings = resolve(form, options, source)
    if use.passed and form not in TABLES:
        raise DataError(f"{source}: {form} data have no columns that could come along")
    if form == "npy":
        files = without_targets(files)
    return READERS[form](files, settings, progress, use)


def completed(source: str, options: Options, reading: Options) -> dict[str, Any]:
    """``options``, and where they are silent those of ``reading`` that the format has.

    The format of ``reading`` counts where neither the options nor names of files say one.

    Raises:
        DataError: there are no such files, or their format is not known.
    """
    files, given = find_files(source), dict(options)
    if "format" in reading and all(format_of(file.name) is None for file in files):
        given.setdefault("format", certain_format(files[0]) or reading["format"])
    form = _format(source, files, given)
    found = {name: value for name, value in reading.items() if name in KNOWN[form]}
    if WEIGHT in found and form == "libsvm":
        found[WEIGHT] = AUTO
    elif reading.get("format") == "libsvm":  # whose weights have no name
        found.pop(WEIGHT, None)
    return found | given


def _format(source: str, files: Sequence[DataFile], options: Options) -> str:
    given = options.get("format")
    if given is not None:
        if given not in KNOWN:
            raise DataError(
                f"{source}: option format must be {', '.join(KNOWN)}, got {given!r}"
                f"{hint(str(given), KNOWN)}"
            )
        return str(given)
    formats = {format_of(file.name): file.name for file in files}
    if list(formats) == [None]:
        return format_by_content(files[0])
    if None in formats:
        raise DataError(f"{formats[None]}: the format is not known from the name; {advice()}")
    if len(formats) > 1:
        raise DataError(
            f"{source}: the files must be of one format, there are "
            f"{' and '.join(f'{name} ({form})' for form, name in formats.items())}"
        )
    return str(next(iter(formats)))
