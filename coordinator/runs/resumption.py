"""Finding a run again: in its folder, or on its control server."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distbelief.app.client.pools import refuses
from distbelief.app.client.servers import Servers
from distbelief.app.errors import (
    ConfigError,
    DataError,
    RunTaken,
    RunUnknown,
    ServerUnreachable,
    WaitTimeout,
)
from distbelief.app.files import checkpoint
from distbelief.app.models import sources
from distbelief.app.runs import leadership
from distbelief.app.runs.identity import Identity
from distbelief.app.runs.record import RunRecord
from distbelief.app.runs.snapshot import RunState, Snapshot
from distbelief.app.settings.config import ClusterConfig, configure_cluster
from distbelief.coordinator.progress.program import command
from distbelief.coordinator.runs import trust
from distbelief.coordinator.runs.checkpoint_copies import CheckpointCopies
from distbelief.coordinator.runs.folder import RunFolder

if TYPE_CHECKING:
    from distbelief.coordinator.problem.problem import Problem

#: How long to wait for an answer from servers that are probably gone.
ANSWER_S = 2.0

#: How long an embedded run may take to stop when it is taken over.
STOP_S = 60.0
POLL_S = 0.2


@dataclass(frozen=True)
class Found:
    """A run as it was written down: ``embedded`` if it started its own servers.

    ``broker`` is where its control server is, or was; ``outcome`` how it ended, empty if it did
    not, or no folder here says it.
    """

    record: RunRecord
    cluster: ClusterConfig
    folder: RunFolder
    embedded: bool
    broker: str
    outcome: Mapping[str, Any] = field(default_factory=dict)

    @property
    def control(self) -> str:
        """Where its control server is now."""
        return self.broker if self.embedded else (self.cluster.control_server or self.broker)


def find(run: str, settings: Mapping[str, Any]) -> Found:
    """The run of that id; ``settings`` of a cluster override those that it was started with.

    Raises:
        RunUnknown: there is no such run here.
        RunDamaged: what was written down of it cannot be.
    """
    given = configure_cluster(settings)
    folder = RunFolder.of(given, run)
    written = folder.read()
    if written is None and given.checkpoint_address is not None:
        CheckpointCopies(given.checkpoint_address, run).fetch_run(folder.file)
        written = folder.read()
    if written is not None:
        known = written["place"]
        where, servers = known.get("control", known["broker"]), dict[str, Any]()
        if not known["embedded"]:
            servers = {
                "broker": known["broker"],
                "parameter_servers": tuple(known["parameter_servers"]),
            }
            if where != known["broker"] and "broker" not in settings:
                servers["control"] = where
        cluster = configure_cluster({**written["cluster"], **servers, **settings})
        try:
            record = RunRecord.from_json(run, written["record"])
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            what = f"{type(error).__name__}: {error}"
            raise ConfigError(f"the record of {folder.path} is damaged ({what})") from error
        trust.allow_if_begun(folder.path, record.config)
        return Found(record, cluster, folder, known["embedded"], where, written["outcome"])
    if (server := given.control_server) is None:
        raise RunUnknown(
            f"there is no run {run} in {Path(given.folder).resolve()}: "
            f"'{command('runs', folder=given.folder)}' lists those that are there; name another "
            "folder with --folder, or its servers with --broker and --parameter-servers"
        )
    snapshot = look(server, run)
    if snapshot is None:
        raise RunUnknown(
            f"the control server knows no run {run}: see '{command('runs', folder=given.folder)}'"
        )
    return Found(RunRecord.from_json(run, snapshot.document), given, folder, False, server)


def look(broker: str, run: str) -> Snapshot | None:
    """The run as a control server knows it, None if it does not; raises ServerUnreachable."""
    with closing(Servers([broker], deadline_s=ANSWER_S)) as control:
        return leadership.look(control, run)


def state_of(found: Found) -> Snapshot | None:
    """The run as its control server knows it; None if the server is gone with its run."""
    if found.embedded and refuses(found.broker):
        return None
    try:
        return look(found.control, found.record.run)
    except ServerUnreachable:
        if found.embedded:  # it ended just now
            return None
        raise


def stop(found: Found) -> None:
    """Ask the run's coordinator to make a checkpoint and stop; raises ConfigError."""
    known = state_of(found)
    if known is None or known.owner is None:
        state = known.state if known else "not running"
        raise ConfigError(f"run {found.record.run} is {state}: there is nothing to stop")
    with closing(Servers([found.control], deadline_s=ANSWER_S)) as control:
        leadership.ask_to_stop(control, found.record.run)


def wait_for_end(found: Found, timeout_s: float = STOP_S) -> None:
    """Wait until nobody coordinates the run; raises WaitTimeout."""
    deadline = time.monotonic() + timeout_s
    while (known := state_of(found)) is not None and known.owner is not None:
        if time.monotonic() > deadline:
            raise WaitTimeout(
                f"run {found.record.run} is still coordinated by {known.owner} after "
                f"{timeout_s:g} s"
            )
        time.sleep(POLL_S)


def has_finished(found: Found) -> bool:
    """Whether there is nothing left to do for the run."""
    if found.folder.outcome().get("state") == RunState.FINISHED:
        return True
    known = state_of(found)
    return known is not None and known.state is RunState.FINISHED


def prepare_again(found: Found, *, take_over: bool) -> Problem:
    """Prepare the problem of a run that is to go on, once nobody else coordinates it.

    Raises:
        RunTaken: its servers are embedded in a coordinator that lives.
        DataError: its data have changed.
        ModelError: nothing of it is left, nor the model that it began with.
    """
    from distbelief.coordinator.problem.problem import (
        prepare,  # looking at runs needs no models and no data
    )

    record = found.record
    if found.embedded and found.cluster.embedded:
        if found.folder.outcome().get("state") == RunState.FINISHED:
            raise leadership.finished(record.run)
        _end_embedded(found, take_over=take_over)
    cluster = found.cluster
    n_servers = len(cluster.parameter_servers) or cluster.servers
    problem = prepare(
        record.config, n_servers, recorded=record if is_anything_left(found) else None
    )
    check_data(record, problem)
    return problem


def is_anything_left(found: Found) -> bool:
    """Whether anything is left to go on with: else a run that died early can only be begun again.

    Servers that are embedded are gone with their coordinator, which has died by now.

    Raises:
        ServerUnreachable: its control server, or where copies of checkpoints are, does not answer.
    """
    if checkpoint.names(found.folder.checkpoints):
        return True
    address, run = found.cluster.checkpoint_address, found.record.run
    if address is not None and CheckpointCopies(address, run).names():
        return True
    if found.embedded:
        return False
    with closing(Servers([found.control], deadline_s=ANSWER_S)) as control:
        return leadership.committed(control, run) is not None


def check_data(record: RunRecord, problem: Problem) -> None:
    """Raise DataError unless the data are those with which a run began."""
    if problem.data.fingerprint != record.fingerprint:
        raise DataError(
            f"{record.config.data} has changed since run {record.run} began: fingerprint "
            f"{problem.data.fingerprint}, expected {record.fingerprint}"
        )


def changed_modules(record: RunRecord) -> list[str]:
    """The user's modules, as imported here, that are not those that a run began with."""
    if record.identity is None:
        return []
    here = Identity.here(record.config).modules
    return sources.differing(here, record.identity.modules)


def _end_embedded(found: Found, *, take_over: bool) -> None:
    """Embedded servers end with their coordinator, so it has to stop before it is replaced."""
    known = state_of(found)
    if known is None or known.owner is None:
        return
    if not take_over:
        raise RunTaken(
            f"run {found.record.run} is coordinated by {known.owner}: stop it with "
            f"'{command('stop', found.record.run, folder=found.folder.path.parent)}', or take the "
            "run from it with --take-over"
        )
    stop(found)
    wait_for_end(found)
