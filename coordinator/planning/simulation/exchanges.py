"""An exchange of a worker process with all servers: CPU here, the network, CPU there.

Servers on hosts of their own, and the network to them, are queues whose order is that of the
exchanges: one exchange is then some arithmetic on arrays over servers (Lindley's recursion), and
a thousand servers cost little. On one host all share the cores, and each call is an event.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np

from distbelief.coordinator.planning.costs import ExchangeCost, LineCost
from distbelief.coordinator.planning.simulation.draws import drawn
from distbelief.coordinator.planning.simulation.fleet import Array, Fleet, Network
from distbelief.coordinator.planning.simulation.timeline import Cores, Do, SerialThread, Timeline


@dataclass(frozen=True)
class Exchange:
    """One kind of exchange on a fleet: CPU seconds of the client, and arrays over servers.

    ``client`` and ``noise`` go on without end: samples of the client's seconds, and of how much
    more or less than usual the servers take.
    """

    client: Iterator[float]
    noise: Iterator[float]
    service: Array
    up: Array
    down: Array

    @property
    def bytes(self) -> float:
        return float(self.up.sum() + self.down.sum())


def exchange(cost: ExchangeCost, fleet: Fleet, numbers: int, rng: np.random.Generator) -> Exchange:
    """What an exchange of so many numbers is on a fleet."""
    shares = fleet.servers

    def spread(line: LineCost) -> Array:
        by_size = line.per_call * shares.calls + line.per_number * numbers * shares.numbers
        used = shares.calls > 0
        return np.asarray(line.per_server * used + by_size)

    servers, calls = float((shares.calls > 0).sum()), float(shares.calls.sum())
    client_s = cost.client.at(servers, calls, numbers)
    return Exchange(
        client=drawn(rng, cost.client.spread, client_s / 2),
        noise=drawn(rng, cost.server.spread),
        service=spread(cost.server),
        up=spread(cost.up),
        down=spread(cost.down),
    )


class ServerModel(Protocol):
    """Carries exchanges out. ``moved`` are bytes so far, in both directions."""

    moved: float

    def serve(self, host: int, what: Exchange, done: Do) -> None:
        """Bring an exchange of a process on ``host`` to all servers and back."""
        ...

    def busy(self, elapsed_s: float) -> dict[str, float]:
        """The share of the time that each resource was in use, of the one used most."""
        ...

    def cpu_s(self) -> float:
        """CPU seconds of the servers so far."""
        ...


class OwnHosts:
    """Servers on hosts of their own: links and server threads are queues."""

    def __init__(self, timeline: Timeline, fleet: Fleet, network: Network) -> None:
        self._timeline = timeline
        self._network = network
        self._up_free = [0.0] * fleet.hosts
        self._down_free = [0.0] * fleet.hosts
        self._in_free, self._free, self._out_free = (np.zeros(len(fleet.servers)) for _ in range(3))
        self._worked = np.zeros(len(fleet.servers))
        self._carried = [[0.0, 0.0] for _ in range(fleet.hosts)]
        self._server_carried = np.zeros((2, len(fleet.servers)))
        self.moved = 0.0

    def serve(self, host: int, what: Exchange, done: Do) -> None:
        network, now = self._network, self._timeline.now
        self.moved += what.bytes
        sent = np.cumsum(what.up) / network.up
        began = max(now, self._up_free[host])
        self._up_free[host] = began + float(sent[-1])
        arrived = began + sent + network.latency_s
        self._in_free = np.maximum(arrived, self._in_free + what.up / network.server)
        service = what.service * next(what.noise)
        self._free = np.maximum(self._in_free, self._free) + service
        self._out_free = np.maximum(self._free, self._out_free) + what.down / network.server
        end = self._receive(host, what)
        self._worked += service
        self._carried[host][0] += float(sent[-1])
        self._carried[host][1] += float(what.down.sum()) / network.down
        self._server_carried[0] += what.up / network.server
        self._server_carried[1] += what.down / network.server
        self._timeline.at(end, done)

    def _receive(self, host: int, what: Exchange) -> float:
        """When the last reply is there: the link takes one after another, and does not wait."""
        network = self._network
        there = self._out_free + network.latency_s
        first, whole = float(there.min()), float(what.down.sum()) / network.down
        self._down_free[host] = max(first, self._down_free[host]) + whole
        return max(self._down_free[host], float((there + what.down / network.down).max()))

    def busy(self, elapsed_s: float) -> dict[str, float]:
        links = [max(each) for each in self._carried]
        return {
            "servers": float(self._worked.max()) / elapsed_s,
            "server links": float(self._server_carried.max()) / elapsed_s,
            "worker links": sum(links) / len(links) / elapsed_s,
        }

    def cpu_s(self) -> float:
        return float(self._worked.sum())


class OneHost:
    """Servers that share the cores of the one host with everybody else."""

    def __init__(self, timeline: Timeline, fleet: Fleet, cores: Cores) -> None:
        self._threads = [SerialThread(timeline, cores) for _ in range(len(fleet.servers))]
        self._worked = np.zeros(len(fleet.servers))
        self.moved = 0.0

    def serve(self, host: int, what: Exchange, done: Do) -> None:
        self.moved += what.bytes
        service = what.service * next(what.noise)
        self._worked += service
        waiting = len(service)

        def answered() -> None:
            nonlocal waiting
            waiting -= 1
            if not waiting:
                done()

        for thread, seconds in zip(self._threads, service.tolist(), strict=True):
            thread.take(seconds, answered)

    def busy(self, elapsed_s: float) -> dict[str, float]:
        return {"servers": float(self._worked.max()) / elapsed_s}

    def cpu_s(self) -> float:
        return float(self._worked.sum())


def carry_out(cores: Cores, servers: ServerModel, host: int, what: Exchange, done: Do) -> None:
    """An exchange from its first CPU second on the worker to its last."""
    after = next(what.client)
    back = partial(cores.burn, after, done)
    cores.burn(next(what.client), partial(servers.serve, host, what, back))
