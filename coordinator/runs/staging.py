"""Data that workers fetch: laid down before a training begins, kept there, removed at its end.

For what only the coordinator has, or only it can read. Workers take the data as they are in the
coordinator's cache, so they need neither the file nor what reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace

from distbelief.app.client.info import memory_left
from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.run_data import RunData
from distbelief.app.datasets.sources.source import Generated, parse
from distbelief.app.datasets.staging.content import Content
from distbelief.app.datasets.staging.depot import Depot
from distbelief.app.datasets.staging.storage import Storage
from distbelief.app.errors import ConfigError, DataError, RunTaken, ServerError
from distbelief.app.runs.record import Staged
from distbelief.app.runs.renewal import Renewal
from distbelief.app.runs.staged import StagedOnServer
from distbelief.app.settings.cluster import CONTROL_SERVER
from distbelief.app.settings.config import ClusterConfig, RunConfig
from distbelief.app.settings.sizes import bytes_of
from distbelief.coordinator.runs.session import Session

#: How often what is laid down is renewed, and put back where it is not there any more.
RENEW_S = 15.0

#: How long the end of a run waits for what is laid down to go.
REMOVE_S = 2.0


def check_size(cluster: ClusterConfig, config: RunConfig, data: RunData) -> None:
    """Raise ConfigError if the data may not be staged where the settings say."""
    if cluster.embedded or cluster.stage_data != CONTROL_SERVER:
        return
    nbytes = sum(each.facts.cached_bytes for each in _to_stage(config, data).values())
    if nbytes > bytes_of(cluster.stage_limit):
        raise ConfigError(
            f"{config.data}: {nbytes:,} bytes of data are to be staged on the control server, and "
            f"stage_limit allows {cluster.stage_limit}: raise it if that server has the memory, or "
            "stage them at an address that workers reach, --stage-data=s3://BUCKET/FOLDER"
        )


@contextmanager
def staging(
    session: Session, cluster: ClusterConfig, data: RunData, say: Callable[[str], None]
) -> Iterator[None]:
    """Have the data of a run where workers fetch them, as long as this lasts.

    Raises:
        DataError, ConfigError: they cannot be read (any more), or the address not be used.
        ServerError: the control server, or the storage, does not take them.
    """
    sets = _to_stage(session.config, data) if cluster.stage_data is not None else {}
    if not sets:
        yield
        return
    depot = _depot(session, cluster)
    with ExitStack() as stack:
        contents = {name: stack.enter_context(_content(each, depot)) for name, each in sets.items()}
        _check_room(session, cluster, sum(each.manifest.nbytes for each in contents.values()))
        staged = _Staged(depot, contents, say)
        digests = tuple((name, each.digest) for name, each in contents.items())
        address = None if cluster.stage_data == CONTROL_SERVER else cluster.stage_data
        session.record = replace(session.record, staged=Staged(address, digests))
        with staged.kept(session):
            yield


@dataclass
class _Staged:
    depot: Depot
    contents: Mapping[str, Content]
    say: Callable[[str], None]

    @contextmanager
    def kept(self, session: Session) -> Iterator[None]:
        """Lay everything down, renew it, and remove it."""
        ours = True
        try:
            self._begin()
            renewal = Renewal("staged data", RENEW_S, self._renew)
            try:
                yield
            finally:
                renewal.stop(REMOVE_S)
        except RunTaken:
            ours = False  # but somebody else's, who goes on with what is there
            raise
        finally:
            if ours:
                session.control.hurry(REMOVE_S)
                self._end()

    def _begin(self) -> None:
        pieces = sum(len(each.numbers) for each in self.contents.values())
        nbytes = sum(each.manifest.nbytes for each in self.contents.values())
        self.say(
            f"staging {nbytes:,} bytes of data, in {pieces} pieces, at {self.depot.place}: each "
            "machine with workers fetches them once"
        )
        for each in self.contents.values():
            each.put(self.depot)

    def _renew(self) -> bool:
        """Put back what is lost; True, to go on renewing."""
        with suppress(ServerError):  # whoever needs the server says that it does not answer
            put = sum(each.put(self.depot) for each in self.contents.values())
            if put:
                self.say(f"{put} pieces of staged data were lost at {self.depot.place}: put back")
        return True

    def _end(self) -> None:
        for each in self.contents.values():
            try:
                each.remove(self.depot)
            except ServerError as error:
                self.say(f"some of the staged data may be left at {self.depot.place}: {error}")
                return


def _to_stage(config: RunConfig, data: RunData) -> dict[str, Dataset]:
    """The data by the names of their settings; what is generated every worker makes itself."""
    named = {
        "data": (config.data, data.dataset),
        "holdout_data": (config.holdout_data, data.heldout.dataset),
        "test_data": (config.test_data, data.test.dataset),
    }
    return {
        name: dataset
        for name, (source, dataset) in named.items()
        if source is not None and not isinstance(parse(source), Generated)
    }


def _depot(session: Session, cluster: ClusterConfig) -> Depot:
    run = session.record.run
    if cluster.stage_data == CONTROL_SERVER or cluster.stage_data is None:
        return StagedOnServer(session.control, run)
    return Storage(cluster.stage_data, run)


def _content(dataset: Dataset, depot: Depot) -> closing[Content]:
    assert dataset.folder is not None
    try:
        return closing(Content(dataset.folder, depot.piece_bytes))
    except (OSError, ValueError) as error:
        raise DataError(f"{dataset.name}: the data cannot be staged: {error}") from error


def _check_room(session: Session, cluster: ClusterConfig, nbytes: int) -> None:
    """Raise ServerError if the control server has no room; one that does not say is tried."""
    if cluster.stage_data != CONTROL_SERVER:
        return
    left = memory_left(session.control)
    if left is not None and left < nbytes:
        raise ServerError(
            f"{nbytes:,} bytes of data are to be staged on the control server "
            f"({session.control.addresses[0]}), and its maxmemory leaves {left:,}: raise that, or "
            "stage them at an address that workers reach, --stage-data=s3://BUCKET/FOLDER"
        )
