"""A fleet that is simulated: how many of what, and what connects them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from distbelief.app.layout.layout import Layout
from distbelief.coordinator.planning.costs import NO_CROWD, Crowd, Waits
from distbelief.coordinator.planning.simulation.timeline import Cores, Timeline

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Network:
    """Bytes a second of a worker host in either direction, and of a server's host.

    ``latency_s`` is that of one way. ``burst`` are the bytes that a worker host's link lets through
    at once, if it had nothing to carry before: what it did not carry in a pause it catches up with.
    """

    up: float
    down: float
    server: float
    latency_s: float
    burst: float = 0.0


@dataclass(frozen=True)
class Trouble:
    """What may go wrong: a ``share`` of the processes is ``factor`` times slower than others,
    and a process dies once in ``lives_s`` on average.

    Then its lease runs out, after ``lease_s``, and another takes its place.
    """

    share: float = 0.0
    factor: float = 1.0
    lives_s: float = math.inf
    lease_s: float = 0.0


@dataclass(frozen=True)
class ServerShares:
    """What of an exchange falls to each server: shape (servers,) each.

    ``calls`` are counts; ``numbers`` are shares that add up to 1.
    """

    calls: Array
    numbers: Array

    def __len__(self) -> int:
        return len(self.calls)

    @classmethod
    def of(cls, layout: Layout) -> ServerShares:
        """Those of a layout; rows of tables are dealt to all servers alike."""
        calls, numbers = (np.zeros(layout.n_servers) for _ in range(2))
        for shard in range(layout.n_shards):
            part, server = layout.shard_slice(shard), layout.server(shard)
            calls[server] += 1
            numbers[server] += part.stop - part.start
        if layout.tables:
            numbers = np.full(layout.n_servers, 1.0)
        return cls(calls, numbers / numbers.sum())


@dataclass(frozen=True)
class Fleet:
    """Worker processes on hosts, and servers: on hosts of their own, or all on one host.

    Args:
        replicas: worker processes, each with a replica or at a portion.
        processes: those of a worker host.
        cores: of a worker host; where there is no network, of the one host.
        slowdown: how many times slower a core is while all others compute.
        crowd: what processes that take turns on a core cost one another.
        servers: what falls to each.
        network: None if all are on one host.
        trouble: stragglers and failures.
    """

    replicas: int
    processes: int
    cores: int
    slowdown: float
    servers: ServerShares
    network: Network | None
    trouble: Trouble = Trouble()
    crowd: Crowd = NO_CROWD

    @property
    def hosts(self) -> int:
        """Hosts of workers."""
        return 1 if self.network is None else math.ceil(self.replicas / self.processes)

    def asking_one(self) -> Fleet:
        """The same fleet, for a question that one server answers in one call."""
        calls = np.zeros(len(self.servers))
        calls[0] = 1
        return replace(self, servers=ServerShares(calls, calls))

    def host(self, timeline: Timeline) -> Cores:
        """The cores of one of them."""
        return Cores(timeline, self.cores, self.slowdown, self.crowd.growth)

    def waits(self, known: Waits) -> Waits:
        """Those of threads on such hosts; ``known`` is how long they are without a crowd."""
        return replace(known, busy_s=known.busy_s + self.crowd.wait_s)
