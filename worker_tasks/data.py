"""The data of a run as a worker opens them: where its operator allows, and with guarded words.

A run's settings come over the network. Whoever writes them learns from a worker's error whether a
file is there, but nothing of what is in one that is no data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from distbelief.app.client.servers import Servers
from distbelief.app.datasets.cache.opening import default_cache_folder
from distbelief.app.datasets.examples.compatibility import Compatibility
from distbelief.app.datasets.formats.arrays import PREFIX
from distbelief.app.datasets.formats.options import format_of
from distbelief.app.datasets.reading.access import check_access, data_roots, is_url, only_under
from distbelief.app.datasets.reading.files import find_files, is_pattern, local_path
from distbelief.app.datasets.run_data import RunData, open_data
from distbelief.app.datasets.sources.generators import GENERATORS
from distbelief.app.datasets.sources.source import Stream, parse
from distbelief.app.datasets.staging.depot import Depot
from distbelief.app.datasets.staging.fetching import open_staged
from distbelief.app.datasets.staging.storage import Storage
from distbelief.app.errors import DataError
from distbelief.app.runs.record import Staged
from distbelief.app.runs.staged import StagedOnServer
from distbelief.app.settings.config import RunConfig
from distbelief.worker_tasks.lease import process_name

#: The settings that name data.
SOURCES = ("data", "holdout_data", "test_data")


@dataclass(frozen=True)
class Fetch:
    """Data of a run that its coordinator has staged."""

    staged: Staged
    run: str
    control: Servers

    def depot(self) -> Depot:
        """Where they are; raises DataError if this worker may not open that."""
        address = self.staged.address
        if address is None:
            return StagedOnServer(self.control, self.run)
        return Storage(address, self.run)


def open_here(
    config: RunConfig, fits: Compatibility | None = None, fetch: Fetch | None = None
) -> RunData:
    """Open the data of a run in this worker.

    Args:
        config: the run's.
        fits: what the training data must fit.
        fetch: those that are fetched, if some are.

    Raises:
        DataError: they are unusable, or not where this worker may open data.
        ServerError: where they are staged does not answer.
    """
    roots, folder = data_roots(), default_cache_folder()
    with only_under(roots):
        named = {name: each for name in SOURCES if (each := getattr(config, name)) is not None}
        ready = {}
        if fetch is not None:
            depot, patience_s = fetch.depot(), config.server_seconds
            ready = {
                name: open_staged(named[name], digest, depot, folder, patience_s)
                for name, digest in fetch.staged.digests
                if name in named
            }
        own = [each for name, each in named.items() if name not in ready]
        _check_there(own)
        doubtful = [] if roots is not None else _doubtful(own)
        try:
            return open_data(config, folder, fits=fits, ready=ready)
        except DataError:
            if not doubtful:
                raise
    raise DataError(
        f"{doubtful[0]}: a worker cannot read this as the run says. It tells no more, for the name "
        f"of the file does not say that it is data: 'distbelief data {doubtful[0]}' on its machine "
        "does"
    )


def _check_there(sources: Sequence[str]) -> None:
    """Raise DataError if files of this machine are not there: the coordinator has them alone."""
    for each in sources:
        arrays = each.startswith(PREFIX)
        path = each.removeprefix(PREFIX) if arrays else local_path(each)
        if each in GENERATORS or path is None or is_pattern(path):
            continue
        check_access(path)
        if not Path(path).exists():
            what = "the arrays of this training are" if arrays else f"{each} is"
            raise DataError(
                f"{what} not on the machine of worker {process_name()}: train with --stage-data, "
                "which has workers fetch the data, or lay them under the same path there, or name "
                "an address that both reach (s3://...)"
            )


def _doubtful(sources: Sequence[str]) -> list[str]:
    """Sources whose names do not say that they are data; raises DataError if one is not there."""
    streams = [each for each in sources if isinstance(parse(each), Stream)]
    found = [each for each in streams if is_url(each) or format_of(each) is None]
    for each in found:
        find_files(each)
    return found
