"""What a training needs, opened and checked before anything is written."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from distbelief.app.broker.application import EVALUATION
from distbelief.app.runs.leadership import RunState
from distbelief.app.settings.config import ClusterConfig
from distbelief.coordinator.cluster import flower
from distbelief.coordinator.cluster.endpoints import Endpoints
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.cluster.signals import Interruption
from distbelief.coordinator.doctor import preflight
from distbelief.coordinator.downpour import intervals
from distbelief.coordinator.monitoring.monitors import monitoring
from distbelief.coordinator.problem.memory_estimate import Footprint
from distbelief.coordinator.problem.problem import Problem
from distbelief.coordinator.progress.callbacks import Callbacks, together
from distbelief.coordinator.progress.status import Status
from distbelief.coordinator.runs.checkpoints import Checkpoints
from distbelief.coordinator.runs.driver import DriverHooks
from distbelief.coordinator.runs.folder import RunFolder
from distbelief.coordinator.runs.journal import Journal
from distbelief.coordinator.runs.session import Session, open_session
from distbelief.coordinator.runs.wait_reporter import WaitReporter
from distbelief.coordinator.views.tracker import ProgressTracker

Check = Callable[[], None]

#: The control server hears of a new moment this often, and with every renewal of the lease.
TOLD_EVERY_S = 0.25


@dataclass(frozen=True)
class Training:
    """What a training works with."""

    problem: Problem
    cluster: ClusterConfig
    session: Session
    hooks: DriverHooks
    folder: RunFolder
    output: Path
    say: Callable[[str], None]


@dataclass(frozen=True)
class _Place:
    """Where a training runs, who sees to it, and how many workers there are, if that is known."""

    endpoints: Endpoints
    check: Check
    workers: int | None

    @classmethod
    def of(cls, local: LocalCluster) -> _Place:
        return cls(local.endpoints, local.check, local.workers or None)


@contextmanager
def opened(
    problem: Problem,
    cluster: ClusterConfig,
    folder: RunFolder,
    display: Callbacks,
    local: LocalCluster | None = None,
) -> Iterator[Training]:
    """Everything that a training needs, checked; on ``local`` if that is given."""
    output, config = folder.model(cluster), problem.config
    if cluster.flower:
        flower.check()  # before anything is started
    waits = WaitReporter(display.say)
    with (
        Interruption() as interruption,
        monitoring(cluster, problem, folder.run, display.say) as monitors,
        _place(problem, cluster, folder, display.say, local) as place,
        _watched(place.endpoints, cluster, folder, display.say),
        closing(
            open_session(folder.run, problem, cluster, place.endpoints, waits, place.workers)
        ) as session,
        waits.watching([session.control, session.servers]),
        closing(
            Checkpoints(
                folder.checkpoints,
                config.checkpoint_seconds,
                config.keep_checkpoints,
                display.say,
                session.note,
            )
        ) as checkpoints,
    ):
        _preflight(session, cluster)
        display = together(display, monitors, _told(session, problem))
        session.listeners += [Journal(folder.journal, display.say).append, display.told]
        auto = config.n_push == config.n_fetch == "auto"
        problem = intervals.chosen(problem, session.servers)
        session.record = replace(session.record, config=problem.config)
        display.say(_announcement(session, problem, " (auto)" if auto else ""))
        if problem.footprint is not None:
            display.say(_memory(problem.footprint))
        hooks = _hooks(place, session, display, interruption.defer(), checkpoints)
        yield Training(problem, cluster, session, hooks, folder, output, display.say)


def _hooks(
    place: _Place,
    session: Session,
    display: Callbacks,
    requested: Callable[[], bool],
    checkpoints: Checkpoints,
) -> DriverHooks:
    leader = session.leader

    def checked() -> None:
        place.check()
        leader.check()

    def interrupted() -> bool:
        return requested() or leader.asked_to_stop() or display.stop()

    return DriverHooks(display.show, checked, interrupted, checkpoints)


def _told(session: Session, problem: Problem) -> Callbacks:
    """What tells the moment to whoever asks on another terminal."""
    tracker, told_at = ProgressTracker(problem.score_formatter), -math.inf

    def show(status: Status) -> None:
        nonlocal told_at
        tracker.see(status)
        if time.monotonic() - told_at >= TOLD_EVERY_S:
            told_at = time.monotonic()
            session.leader.status = tracker.snapshot(status).to_json()

    return Callbacks(lambda _: None, show, tracker.hear)


@contextmanager
def _place(
    problem: Problem,
    cluster: ClusterConfig,
    folder: RunFolder,
    say: Callable[[str], None],
    given: LocalCluster | None,
) -> Iterator[_Place]:
    """Servers that run already, or embedded ones for as long as the training takes."""
    if given is not None:
        yield _Place.of(given)
        return
    if cluster.broker is not None:
        yield _Place(Endpoints(cluster.broker, cluster.parameter_servers), lambda: None, None)
        return
    processes, logs = cluster.processes or problem.config.replicas, folder.logs()
    say(
        f"starting 1 control server, {cluster.servers} parameter servers and a worker "
        f"with {processes} processes (logs in {logs})"
    )
    with LocalCluster(
        servers=cluster.servers,
        processes=processes,
        folder=logs,
        wait_s=cluster.wait_seconds,
        durable=folder.servers if cluster.durability == "aof" else None,
        say=say,
    ) as local:
        yield _Place.of(local)
    if folder.outcome().get("state") == RunState.FINISHED:  # nobody will go on from there
        shutil.rmtree(folder.servers, ignore_errors=True)


@contextmanager
def _watched(
    place: Endpoints, cluster: ClusterConfig, folder: RunFolder, say: Callable[[str], None]
) -> Iterator[None]:
    """Flower, if it is wanted."""
    if not cluster.flower:
        yield
        return
    with flower.beside(place.broker, folder.logs(), cluster.wait_seconds, say):
        yield


def _preflight(session: Session, cluster: ClusterConfig) -> None:
    config = session.config
    for servers in (session.control, session.servers):
        preflight.check_servers(servers, cluster.wait_seconds)
    preflight.check_control(session.control)
    preflight.check_scripts(session.servers, config)
    queues = {config.algorithm, EVALUATION}
    preflight.wait_for_workers(session.messages, queues, cluster.wait_seconds)
    if cluster.flower:  # it asks for them itself, but only every few seconds
        session.messages.enable_events()


def _memory(footprint: Footprint) -> str:
    likely, most = (bytes_ / 2**20 for bytes_ in (footprint.likely, footprint.most))
    return (
        f"tables of {footprint.rows:,} rows, of which {footprint.touched:,} occur in the training "
        f"data: the servers will need up to {likely:,.0f} MiB (for all rows {most:,.0f} MiB)"
    )


def _engines(session: Session) -> str:
    """Which engine the servers compute with, and where and why not natively."""
    servers = session.servers
    text = " and ".join(sorted({f"{engine} engine" for engine in servers.engines}))
    by_reason: dict[str, list[str]] = {}
    for where, choice in zip(servers.addresses, servers.choices, strict=True):
        if choice.why:
            by_reason.setdefault(choice.why, []).append(where)
    for why, there in by_reason.items():
        text += f": {why}" if len(there) == len(servers) else f"; {', '.join(there)}: {why}"
    return text


def _announcement(session: Session, problem: Problem, chosen: str) -> str:
    layout, config = problem.layout, problem.config
    method = "OWL-QN" if config.l1 else "L-BFGS"
    how = (
        f"{config.replicas} replicas, {config.optimizer} with rate {config.learning_rate:g}, "
        f"n_push {config.n_push}, n_fetch {config.n_fetch}{chosen}"
        if problem.plan is not None
        else f"{method} with history {config.history} in {config.precision}, "
        f"{problem.portions} portions"
    )
    return (
        f"run {session.record.run}: {config.model} with {problem.n_parameters:,} parameters in "
        f"{layout.n_shards} shards on {layout.n_servers} servers ({_engines(session)}), "
        f"{problem.n_train:,} training and {problem.n_heldout:,} held-out examples "
        f"of {config.data}, {how}"
    )
