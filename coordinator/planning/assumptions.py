"""What a plan takes for granted of fleets that are not there yet."""

from __future__ import annotations

import math
from dataclasses import dataclass

from distbelief.app.errors import ConfigError
from distbelief.coordinator.planning.calibration import Calibration

#: Bytes a second of a gigabit, where no link was measured and none is named.
GIGABIT = 1e9 / 8

#: The round trip between hosts of one data centre, where none was measured.
ROUND_TRIP_S = 0.0002

#: The largest fleet that is looked at, unless a smaller one is asked for.
MOST_REPLICAS, MOST_SERVERS = 10_000, 1_000


@dataclass(frozen=True)
class Assumptions:
    """Machines, links, prices, and what goes wrong; None where the calibration decides.

    Args:
        processes: worker processes of a worker machine, and cores of it.
        link: bytes a second of a worker machine's link, in either direction.
        server_link: bytes a second of a server machine's link.
        worker_price: money an hour for a worker machine.
        server_price: money an hour for a server machine, the control server's, too.
        stragglers: share of the processes that are slow.
        straggling: how many times slower these are.
        lives_h: hours after which a process dies, on average.
        most_replicas: the largest number of replicas that is looked at.
        most_servers: the largest number of parameter servers.
        wanted: examples a second, or None.
    """

    processes: int | None = None
    link: float | None = None
    server_link: float | None = None
    worker_price: float | None = None
    server_price: float | None = None
    stragglers: float = 0.0
    straggling: float = 1.0
    lives_h: float = math.inf
    most_replicas: int = MOST_REPLICAS
    most_servers: int = MOST_SERVERS
    wanted: float | None = None

    @property
    def priced(self) -> bool:
        return self.worker_price is not None or self.server_price is not None


def straggler_flag(text: str) -> tuple[float, float]:
    """Share and factor of ``SHARE:FACTOR``.

    Raises:
        ConfigError: it is not of that form, or out of range.
    """
    share, _, factor = text.partition(":")
    try:
        found = float(share), float(factor)
    except ValueError:
        found = math.nan, math.nan
    if not (0 <= found[0] <= 1 and 1 <= found[1] < math.inf):
        raise ConfigError(
            f"--stragglers {text} is not allowed: expected SHARE:FACTOR, a share from 0 to 1 and "
            "how many times slower, at least 1, as in 0.05:4"
        )
    return found


def told(calibration: Calibration, assumptions: Assumptions) -> list[str]:
    """What was not measured, in sentences."""
    sentences = []
    machines = calibration.machines
    if calibration.link is None and assumptions.link is None:
        sentences.append(
            "No network was measured, for all ran on one machine: fleets are taken to have links "
            "of 1 Gbit/s and a round trip of 0.2 ms (--link says another speed)."
        )
    if assumptions.processes is None:
        sentences.append(
            f"Worker machines are taken to be like those that were measured: {machines.cores} "
            "cores with a worker process on each."
        )
    work = calibration.work
    if work.warm_start_steps and calibration.downpour is not None:
        most = work.passes * math.ceil(work.examples / work.batch_size) // work.warm_start_steps
        sentences.append(
            f"The {work.warm_start_steps:,} steps that one replica takes alone before the others "
            "start (warm_start_steps) are in hours, CPU hours and money, not in steps a second. "
            f"With more than {max(1, most):,} replicas a training refuses them: they are more than "
            "the steps of one."
        )
    sentences.append(
        "Servers have a machine, a core and a link each; replicas have as many examples as "
        "they like; times are for passes over the data, not to an accuracy: staleness costs some, "
        "which a plan does not know."
    )
    return sentences
