"""Calibration of both algorithms, or of the one that is asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any

from distbelief.app.settings.config import ClusterConfig, configure
from distbelief.coordinator.cluster.endpoints import Endpoints
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.planning.asking import Asker
from distbelief.coordinator.planning.calibration import Calibration
from distbelief.coordinator.planning.crowding import counts, processes_here
from distbelief.coordinator.planning.iterating import measure_sandblaster
from distbelief.coordinator.planning.measuring import measure_downpour
from distbelief.coordinator.planning.opening import opened
from distbelief.coordinator.planning.waits import with_waits
from distbelief.coordinator.problem.problem import Problem, prepare
from distbelief.coordinator.runs.messages import Messages
from distbelief.coordinator.sandblaster.portion_count import portions_of

#: How long workers have to say how many processes they are: longer than those need that compute.
ANSWER_S = 3.0

POLL_S = 0.1

#: The share of the time that Downpour has, if both are measured.
DOWNPOUR = 0.6


def calibrate(
    settings: Mapping[str, Any], cluster: ClusterConfig, seconds: float, say: Callable[[str], None]
) -> Calibration:
    """Calibrate the algorithm that the settings name, or both if they name none.

    As many replicas take part as there are worker processes, unless the settings say how many; on
    one machine more processes than cores, to see what they cost one another.

    Raises:
        DistBeliefError: as a training would, for data, model, servers and workers.
    """
    if cluster.embedded:
        processes = cluster.processes or processes_here()
        cluster = cluster.model_copy(update={"processes": processes})
    else:
        with closing(Messages(Endpoints.of(cluster), cluster.wait_seconds)) as messages:
            processes = _processes(messages, cluster.wait_seconds)
    wanted = settings.get("algorithm")
    servers = len(cluster.parameter_servers) or cluster.servers
    settings = {"replicas": processes, **settings}

    def problem(algorithm: str) -> Problem:
        return prepare(configure({**settings, "algorithm": algorithm})[0], servers)

    share = 1.0 if wanted == "downpour" else DOWNPOUR
    found = measure_downpour(problem("downpour"), cluster, processes, share * seconds, say)
    found = with_waits(found, "downpour")
    if wanted != "downpour":
        other = problem("sandblaster")
        found = add_sandblaster(found, other, cluster, (1 - share) * seconds, say)
    if wanted != "sandblaster":
        return found
    own = tuple(each for each in found.checks if each.algorithm == wanted)
    return replace(found, downpour=None, checks=own)


def _processes(messages: Messages, wait_s: float) -> int:
    """Worker processes of the fleet; whether there are workers at all is checked with the others.

    Raises ServerUnreachable if the broker does not answer.
    """
    deadline, found = time.monotonic() + wait_s, 0
    while not found and time.monotonic() < deadline:
        found = messages.processes(answer_s=ANSWER_S)
        time.sleep(0 if found else POLL_S)
    return max(1, found)


def add_sandblaster(
    calibration: Calibration,
    problem: Problem,
    cluster: ClusterConfig,
    seconds: float,
    say: Callable[[str], None],
    local: LocalCluster | None = None,
) -> Calibration:
    """Calibrate Sandblaster, too: portions apart, then some iterations as they are."""
    began = time.monotonic()
    with opened(problem, cluster, say, local) as resources:
        say("calibrating: portions and iterations of Sandblaster")
        processes = calibration.machines.processes
        costs, checks = measure_sandblaster(
            resources, Asker(resources), processes, counts(cluster, processes), seconds
        )
    work = replace(calibration.work, portions=portions_of(problem))
    found = replace(
        calibration,
        work=work,
        sandblaster=costs,
        checks=(*calibration.checks, *checks),
        seconds=calibration.seconds + time.monotonic() - began,
    )
    return with_waits(found, "sandblaster")
