"""What is around a training from before it opens anything: signals, monitors, and where it runs.

Little is imported for it: the worker of an embedded cluster takes a while until it is up, and the
rest of the program is imported meanwhile.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

from distbelief.app.datasets.reading.sparing import spare
from distbelief.app.runs.snapshot import RunState
from distbelief.app.settings.config import ClusterConfig
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.cluster.signals import Interruption
from distbelief.coordinator.doctor.division import check_division
from distbelief.coordinator.monitoring.monitors import monitoring
from distbelief.coordinator.problem.problem import Problem
from distbelief.coordinator.progress.callbacks import Callbacks
from distbelief.coordinator.runs.folder import RunFolder
from distbelief.coordinator.training.restarts import Restarts


@dataclass(frozen=True)
class Surroundings:
    """What is around a training.

    ``embedded`` is the cluster in this process, None if servers and workers run elsewhere. One that
    is ``lent`` goes on afterwards.
    """

    interruption: Interruption
    monitors: Callbacks
    restarts: Restarts
    embedded: LocalCluster | None
    lent: bool


@contextmanager
def surroundings(
    problem: Problem,
    cluster: ClusterConfig,
    folder: RunFolder,
    say: Callable[[str], None],
    local: LocalCluster | None = None,
) -> Iterator[Surroundings]:
    """Start what has to be around a training, and end it again; ``local`` is lent, if it is there.

    Mistakes in the settings show before anything is started.
    """
    check_division(problem)
    config = problem.config
    spare(folder.check_model_file(cluster), (config.data, config.holdout_data, config.test_data))
    if cluster.flower:
        from distbelief.coordinator.cluster import flower

        flower.check()
    restarts = Restarts(say)
    with (
        Interruption() as interruption,
        monitoring(cluster, problem, folder.run, say) as monitors,
        _embedded_cluster(problem, cluster, folder, restarts.say, local) as embedded,
        embedded.kept_alive() if embedded is not None else nullcontext(),
    ):
        yield Surroundings(interruption, monitors, restarts, embedded, lent=local is not None)


@contextmanager
def _embedded_cluster(
    problem: Problem,
    cluster: ClusterConfig,
    folder: RunFolder,
    say: Callable[[str], None],
    given: LocalCluster | None,
) -> Iterator[LocalCluster | None]:
    """The cluster in this process that is ``given``, or a new one for as long as this is open.

    None if the servers and workers run elsewhere.
    """
    if given is not None or not cluster.embedded:
        if given is not None:
            given.tell_workers()
        yield given
        return
    processes, logs = cluster.processes or problem.config.n_replicas, folder.make_logs()
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
        yield local
    if folder.outcome().get("state") == RunState.FINISHED:  # nobody will go on from there
        shutil.rmtree(folder.servers, ignore_errors=True)
