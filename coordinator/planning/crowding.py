"""Work of several processes at once: as many as cores, and more than that on one machine."""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from distbelief.app.client.servers import Servers
from distbelief.app.settings.config import ClusterConfig
from distbelief.coordinator.planning.asking import Asker, Report
from distbelief.coordinator.planning.calibration import SeenRate
from distbelief.coordinator.planning.costs import Crowd
from distbelief.worker_tasks.server_meter import ServerMeter

#: Processes for each core of one machine, beyond one, by which it is seen what crowding costs.
CROWDS = (2, 4)

#: More processes are not started for that.
MOST_PROCESSES = 64

#: Beyond these a ratio of two measurements is noise, not a machine.
LEAST_SLOWDOWN, MOST_SLOWDOWN = 1.0, 3.0


@dataclass(frozen=True)
class AtOnce:
    """Reports of processes that took steps at once.

    ``push_s`` are the CPU seconds that servers took for a push meanwhile, and what came with it.
    """

    reports: list[Report]
    push_s: float

    @property
    def check(self) -> SeenRate:
        return SeenRate("downpour", len(self.reports), sum(each["rate"] for each in self.reports))

    @property
    def step_s(self) -> float:
        """CPU seconds of all, servers too, for a step with its push."""
        return statistics.fmean(each["spent_s"] for each in self.reports) + self.push_s


def counts(cluster: ClusterConfig, processes: int) -> list[int]:
    """How many of the processes are to work at once: as many as cores, then more; or all."""
    if not cluster.embedded:
        return [processes]
    cores = here()
    most = [cores * crowd for crowd in (1, *CROWDS)]
    return [each for each in most if each <= processes] or [processes]


def processes_here() -> int:
    """How many processes to start where all is on this machine."""
    return max(here(), min(MOST_PROCESSES, max(CROWDS) * here()))


def here() -> int:
    """Cores of this machine that are ours."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def crowds_of(spent: Mapping[int, float]) -> tuple[Crowd, ...]:
    """How CPU seconds grow from the first number of processes, as many as cores, to the others."""
    (fewest, least), *more = spent.items()
    return tuple(
        Crowd(count / fewest, min(MOST_SLOWDOWN, max(1.0, each / least))) for count, each in more
    )


def steps_at_once(asker: Asker, servers: Servers, processes: int, seconds: float) -> AtOnce:
    """Have so many processes take steps at once."""
    meter = ServerMeter(servers)
    before = meter.read()
    reports = asker.several("steps", range(processes), seconds)
    spent, pushes = meter.since(before), sum(each["pushes"] for each in reports)
    return AtOnce(reports, spent.cpu_s / max(1, pushes))
