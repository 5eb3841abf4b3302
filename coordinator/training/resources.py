"""The resources of one training: servers, session, checkpoints, whoever watches."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from distbelief.app.client.addresses import address
from distbelief.app.client.servers import Waiting
from distbelief.app.settings.config import ClusterConfig
from distbelief.coordinator.cluster import flower
from distbelief.coordinator.cluster.endpoints import Endpoints
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.cluster.signals import Interruption
from distbelief.coordinator.doctor import preflight
from distbelief.coordinator.downpour.choice import Choice, choose_exchanges, is_weighed, left_to_us
from distbelief.coordinator.downpour.links import replica_links
from distbelief.coordinator.downpour.shard_size import fit_shards
from distbelief.coordinator.downpour.streams import choose_streams
from distbelief.coordinator.problem.problem import Problem
from distbelief.coordinator.problem.spreading import spread
from distbelief.coordinator.progress.callbacks import Callbacks, together
from distbelief.coordinator.progress.status import Status
from distbelief.coordinator.runs import trust
from distbelief.coordinator.runs.checkpoint_copies import open_copies
from distbelief.coordinator.runs.checkpoints import Checkpoints
from distbelief.coordinator.runs.driver import DriverHooks
from distbelief.coordinator.runs.environment import environment
from distbelief.coordinator.runs.folder import RunFolder
from distbelief.coordinator.runs.head_count import counting
from distbelief.coordinator.runs.journal import Journal
from distbelief.coordinator.runs.session import Session, open_session
from distbelief.coordinator.runs.staging import check_size, staging
from distbelief.coordinator.runs.wait_reporter import WaitReporter
from distbelief.coordinator.sandblaster.portion_count import portions_of
from distbelief.coordinator.training.announcement import announcement
from distbelief.coordinator.training.readiness import check_servers, check_workers, wanting
from distbelief.coordinator.training.surroundings import Surroundings
from distbelief.coordinator.views.tracker import ProgressTracker

#: The control server is told the progress this often, and with every renewal of the lease.
PUBLISHED_EVERY_S = 0.25


@dataclass(frozen=True)
class TrainingResources:
    """All that a training works with, from before it begins to after its end.

    ``choice`` is how replicas exchange; ``output`` is the model's file.
    """

    choice: Choice
    cluster: ClusterConfig
    session: Session
    hooks: DriverHooks
    folder: RunFolder
    output: Path
    say: Callable[[str], None]

    @property
    def problem(self) -> Problem:
        """The problem, with numbers where the settings said ``auto``."""
        return self.choice.problem


@contextmanager
def open_training(
    problem: Problem,
    cluster: ClusterConfig,
    folder: RunFolder,
    callbacks: Callbacks,
    around: Surroundings,
    *,
    resumed: bool = False,
) -> Iterator[TrainingResources]:
    """Connect to all that a training needs, and check it; close it again afterwards.

    Nothing is written to a server but the traces of self-tests, which are gone again.
    """
    check_size(cluster, problem.config, problem.data)
    output, config, say = folder.model_file(cluster), problem.config, callbacks.say
    waits, embedded, interruption = WaitReporter(say), around.embedded, around.interruption
    with (
        _flower(_endpoints(cluster, embedded), cluster, folder, say),
        closing(
            open_session(
                folder.run,
                problem,
                cluster,
                _endpoints(cluster, embedded),
                _told_of_waits(waits, embedded),
            )
        ) as session,
        waits.watching([session.control, session.servers]),
        closing(_checkpoints(session, cluster, folder, say, resumed=resumed)) as checkpoints,
    ):
        check_servers(session, cluster, say)
        with wanting(session, embedded, interruption, around.monitors, say):
            check_workers(session, cluster, embedded, say)
            callbacks = together(callbacks, around.monitors, _publisher(session, problem))
            session.listeners += [Journal(folder.journal, say).append, callbacks.on_event]
            problem = _with_streams(problem, session, elsewhere=embedded is None)
            choice = _settle(problem, session, near=embedded is not None, resumed=resumed)
            auto, problem = left_to_us(config), choice.problem
            for line in [*announcement(session, problem, chosen=auto), *choice.lines()]:
                say(line)
            where = cluster if embedded is None else cluster.model_copy(update={"stage_data": None})
            with staging(session, where, problem.data, say), counting(session):
                hooks = _hooks(embedded, session, callbacks, interruption, checkpoints)
                hooks = replace(hooks, check=around.restarts.noting(hooks.check, session.note))
                yield TrainingResources(choice, cluster, session, hooks, folder, output, say)


def _checkpoints(
    session: Session,
    cluster: ClusterConfig,
    folder: RunFolder,
    say: Callable[[str], None],
    *,
    resumed: bool,
) -> Checkpoints:
    """The checkpoints of the run, and copies of them where the settings say so."""
    config, here = session.config, folder.checkpoints
    copies = open_copies(cluster.checkpoint_address, folder.run, here, say, resumed=resumed)
    every_s, keep = config.checkpoint_seconds, config.keep_checkpoints
    return Checkpoints(here, every_s, keep, say, session.note, copies)


def _told_of_waits(waits: Waiting, embedded: LocalCluster | None) -> Waiting:
    """Tell of waits, and end those for a child of ours that will not come back."""

    def tell(what: str, seconds: float) -> None:
        if embedded is not None:
            embedded.check()
        waits(what, seconds)

    return tell


def _endpoints(cluster: ClusterConfig, embedded: LocalCluster | None) -> Endpoints:
    return Endpoints.of(cluster) if embedded is None else embedded.endpoints


@contextmanager
def _flower(
    endpoints: Endpoints, cluster: ClusterConfig, folder: RunFolder, say: Callable[[str], None]
) -> Iterator[None]:
    """Run Flower, if the settings ask for it."""
    if not cluster.flower:
        yield
        return
    with flower.run_flower(endpoints, folder.make_logs(), cluster.wait_seconds, say):
        yield


def _with_streams(problem: Problem, session: Session, *, elsewhere: bool) -> Problem:
    """Choose replicas and streams by the workers that are there, if that is left to us."""
    if problem.config.replicas != "auto":
        return problem
    session.processes = session.count_processes()
    problem = choose_streams(problem, session.processes, elsewhere=elsewhere)
    session.record = replace(session.record, config=problem.config, chosen=problem.chosen)
    return problem


def _settle(problem: Problem, session: Session, *, near: bool, resumed: bool) -> Choice:
    """Choose by measuring what is left to us: exchanges, and the size of shards.

    Servers that are ``near`` are embedded ones: nobody else is on them. A run that is taken up has
    its choices in its record.
    """
    if resumed:
        return Choice(problem)
    messages, servers, config = session.messages, session.servers, problem.config
    far = is_weighed(problem) and not near
    n_bytes = problem.layout.size * config.dtype.itemsize
    links = replica_links(messages, servers, config.n_replicas, n_bytes) if far else []
    choice = choose_exchanges(problem, servers, links)
    if choice.changes:
        preflight.check_scripts(servers, choice.problem.config)
    if not near:
        fitted = spread(fit_shards(choice.problem, servers), servers)
        choice = replace(choice, problem=fitted)
    settled = choice.problem
    session.record = replace(
        session.record, config=settled.config, layout=settled.layout, chosen=settled.chosen
    )
    return choice


def _publisher(session: Session, problem: Problem) -> Callbacks:
    """Callbacks that publish the progress for ``status`` on other terminals."""
    tracker, published_at = ProgressTracker(problem.score_formatter), -math.inf

    def on_status(status: Status) -> None:
        nonlocal published_at
        tracker.see(status)
        last = status.steps >= status.total_steps
        if last or time.monotonic() - published_at >= PUBLISHED_EVERY_S:
            published_at = time.monotonic()
            session.leader.status = tracker.snapshot(status).to_json()

    return Callbacks(lambda _: None, on_status, tracker.hear)


def _hooks(
    embedded: LocalCluster | None,
    session: Session,
    callbacks: Callbacks,
    interruption: Interruption,
    checkpoints: Checkpoints,
) -> DriverHooks:
    leader, interrupted = session.leader, interruption.defer()

    def check() -> None:
        if embedded is not None:
            embedded.check()
        leader.check()

    def should_stop() -> bool:
        return interrupted() or leader.asked_to_stop() or callbacks.should_stop()

    def terminated() -> bool:
        return interruption.terminated

    return DriverHooks(callbacks.on_status, check, should_stop, checkpoints, terminated)


def describe_run(resources: TrainingResources) -> None:
    """Write down what resuming needs, and in the journal what a report wants to know."""
    session, problem = resources.session, resources.problem
    servers = {
        "embedded": resources.cluster.embedded,
        "broker": address(resources.cluster.broker or session.control.addresses[0]),
        "control": session.control.addresses[0],
        "parameter_servers": session.servers.addresses,
    }
    resources.folder.describe(session.record.to_json(), resources.cluster, servers)
    resources.hooks.checkpoints.note_run(resources.folder.file)
    trust.note_begun(resources.folder.path, problem.config)
    session.note(
        "surroundings",
        **environment(session.control, session.servers),
        parameters=problem.n_parameters,
        training_examples=problem.n_train,
        heldout_examples=problem.n_heldout,
        test_examples=len(problem.data.test),
        portions=portions_of(problem) if "sandblaster" in problem.config.stages else None,
        exchanges=resources.choice.to_json(),
    )
