"""From the name of files to a reader of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from distbelief.app.datasets.formats.delimited import CsvReader
from distbelief.app.datasets.formats.libsvm import LibsvmReader
from distbelief.app.datasets.formats.npy import NpyReader, without_targets
from distbelief.app.datasets.formats.options import (
    ENDINGS,
    KNOWN,
    Options,
    format_of,
    hint,
    resolve,
)
from distbelief.app.datasets.formats.parquet import ParquetReader
from distbelief.app.datasets.formats.places import Place, find
from distbelief.app.datasets.formats.reader import Progress, Reader
from distbelief.app.errors import DataError


class _Factory(Protocol):
    def __call__(
        self,
        places: Sequence[Place],
        settings: Mapping[str, Any],
        progress: Progress | None,
        labelled: bool,
    ) -> Reader: ...


_READERS: Mapping[str, _Factory] = {
    "csv": CsvReader,
    "libsvm": LibsvmReader,
    "parquet": ParquetReader,
    "npy": NpyReader,
}


def open_reader(
    source: str, options: Options, progress: Progress | None = None, *, labelled: bool = True
) -> Reader:
    """A reader of the files that ``source`` means.

    Args:
        source: path or URL of a file, a folder of files, or a pattern
            (:func:`distbelief.app.datasets.formats.places.find`); all of one format.
        options: see :mod:`distbelief.app.datasets.formats.options`.
        progress: told how far the reader is.
        labelled: whether there must be targets; without, those in the files are left out.

    Raises:
        DataError: there are no such files, their format is not known, an option is wrong,
            or the columns of the first file do not make sense.
    """
    places = find(source)
    form = _format(source, places, options)
    settings = resolve(form, options, source)
    if form == "npy":
        places = without_targets(places)
    return _READERS[form](places, settings, progress, labelled)


def options_of(source: str, options: Options) -> Collection[str]:
    """Names of the options that the format of ``source`` has; raises as :func:`open_reader`."""
    return KNOWN[_format(source, find(source), options)]


def _format(source: str, places: Sequence[Place], options: Options) -> str:
    given = options.get("format")
    if given is not None:
        if given not in KNOWN:
            raise DataError(
                f"{source}: option format must be {', '.join(KNOWN)}, got {given!r}"
                f"{hint(str(given), KNOWN)}"
            )
        return str(given)
    formats = {format_of(place.name): place.name for place in places}
    if None in formats:
        raise DataError(
            f"{formats[None]}: the format is not known from the name; names end in "
            f"{', '.join(ENDINGS)} (text also in .gz), or the option format says {', '.join(KNOWN)}"
        )
    if len(formats) > 1:
        raise DataError(
            f"{source}: the files must be of one format, there are "
            f"{' and '.join(f'{name} ({form})' for form, name in formats.items())}"
        )
    return str(next(iter(formats)))
