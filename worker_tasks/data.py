"""The data of a run as a worker opens them: where its operator allows, and with guarded words.

A run's settings come over the network. Whoever writes them learns from a worker's error whether a
file is there, but nothing of what is in one that is no data.
"""

from __future__ import annotations

from distbelief.app.datasets.cache.opening import default_cache_folder
from distbelief.app.datasets.examples.compatibility import Compatibility
from distbelief.app.datasets.formats.options import format_of
from distbelief.app.datasets.reading.access import data_roots, is_url, only_under
from distbelief.app.datasets.reading.files import find_files
from distbelief.app.datasets.run_data import RunData, open_data
from distbelief.app.datasets.sources.source import Stream, parse
from distbelief.app.errors import DataError
from distbelief.app.settings.config import RunConfig


def open_here(config: RunConfig, fits: Compatibility | None = None) -> RunData:
    """Open the data of a run in this worker; ``fits`` is what they must fit.

    Raises:
        DataError: they are unusable, or not where this worker may open data.
    """
    roots = data_roots()
    with only_under(roots):
        doubtful = [] if roots is not None else _doubtful(config)
        try:
            return open_data(config, default_cache_folder(), fits=fits)
        except DataError:
            if not doubtful:
                raise
    raise DataError(
        f"{doubtful[0]}: a worker cannot read this as the run says. It tells no more, for the name "
        f"of the file does not say that it is data: 'distbelief data {doubtful[0]}' on its machine "
        "does"
    )


def _doubtful(config: RunConfig) -> list[str]:
    """Sources whose names do not say that they are data; raises DataError if one is not there."""
    sources = [each for each in (config.data, config.holdout_data) if each is not None]
    streams = [each for each in sources if isinstance(parse(each), Stream)]
    found = [each for each in streams if is_url(each) or format_of(each) is None]
    for each in found:
        find_files(each)
    return found
