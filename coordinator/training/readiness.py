"""Whether a training can begin: its servers, and its workers, which are waited for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from distbelief.app.broker.messages import EVALUATION
from distbelief.app.runs.identity import Identity
from distbelief.app.settings.config import ClusterConfig
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.cluster.signals import Interruption
from distbelief.coordinator.doctor import preflight
from distbelief.coordinator.progress.callbacks import Callbacks
from distbelief.coordinator.progress.events import Event
from distbelief.coordinator.runs.demand import demand
from distbelief.coordinator.runs.messages import shared_names
from distbelief.coordinator.runs.session import Session

#: Seconds to wait for a worker of our own, which lives: the machine is busy.
OWN_WORKER_S = 60.0


@contextmanager
def wanting(
    session: Session,
    embedded: LocalCluster | None,
    interruption: Interruption,
    monitors: Callbacks,
    say: Callable[[str], None],
) -> Iterator[None]:
    """Want as many processes as there are replicas, of workers that somebody else starts."""

    def processes() -> int:
        return session.config.n_replicas

    monitors.on_event(Event(time.time(), "wanted", {"processes": processes()}))
    if embedded is not None:
        yield
        return
    run, going_on = session.record.run, lambda: interruption.terminated
    with demand(session.control, run, processes, say, going_on):
        yield


def check_servers(session: Session, cluster: ClusterConfig, say: Callable[[str], None]) -> None:
    """Check that the servers are there and can do what this run needs."""
    for servers in (session.control, session.servers):
        parameters = servers is session.servers
        preflight.check_servers(servers, cluster.wait_seconds, say, parameters=parameters)
    preflight.check_control(session.control)
    preflight.check_scripts(session.servers, session.config)


def check_workers(
    session: Session,
    cluster: ClusterConfig,
    embedded: LocalCluster | None,
    say: Callable[[str], None],
) -> None:
    """Check that workers are there, wait for them, and that they can do what this run needs."""
    queues = {*session.config.stages, EVALUATION}
    if embedded is not None and embedded.workers:
        wait_s = max(cluster.wait_seconds, OWN_WORKER_S)
        names = preflight.wait_for_workers(session.messages, queues, wait_s, embedded.check)
    else:
        wait_s = cluster.wait_for_workers or cluster.wait_seconds
        tell = say if cluster.wait_for_workers is not None else lambda _: None
        names = preflight.wait_for_workers(session.messages, queues, wait_s, say=tell)
        preflight.tell_silent(session.messages, say)
    for sentence in shared_names(names):
        say(f"warning: {sentence}")
    workers, here = sorted({*names}), Identity.here()
    preflight.check_workers(session.messages, session.servers, workers, here, say)
    if cluster.flower:  # it asks for them itself, but only every few seconds
        session.messages.enable_events()
