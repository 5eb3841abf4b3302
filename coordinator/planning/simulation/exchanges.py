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

from distbelief.coordinator.planning.costs import NO_WAITS, ExchangeCost, LineCost, Waits
from distbelief.coordinator.planning.simulation.draws import drawn
from distbelief.coordinator.planning.simulation.fleet import Array, Fleet, Network
from distbelief.coordinator.planning.simulation.timeline import Cores, Do, SerialThread, Timeline


@dataclass(frozen=True)
class Exchange:
    """One kind of exchange on a fleet: CPU seconds of the client, and arrays over servers.

    ``calls`` are at least 1: of several the first is answered while the others are under way.
    ``client`` and ``noise`` go on without end: samples of the client's seconds, and of how much
    more or less than usual the servers take. ``waits`` pass while nobody computes for it.
    """

    client: Iterator[float]
    noise: Iterator[float]
    service: Array
    up: Array
    down: Array
    calls: Array
    waits: Waits = NO_WAITS

    @property
    def bytes(self) -> float:
        return float(self.up.sum() + self.down.sum())


def exchange(
    cost: ExchangeCost,
    fleet: Fleet,
    numbers: int,
    rng: np.random.Generator,
    waits: Waits = NO_WAITS,
) -> Exchange:
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
        calls=np.maximum(shares.calls, 1.0),
        waits=waits,
    )


class ServerModel(Protocol):
    """Carries exchanges out."""

    @property
    def moved(self) -> float:
        """Bytes so far, in both directions."""
        ...

    def serve(self, host: int, what: Exchange, done: Do) -> None:
        """Bring an exchange of a process on ``host`` to all servers and back."""
        ...

    def busy(self, elapsed_s: float) -> dict[str, float]:
        """The share of the time that each resource was in use, of the one used most."""
        ...

    def cpu_s(self) -> float:
        """CPU seconds of the servers so far."""
        ...


class _Carried:
    """What one kind of exchange costs on links, in seconds; and how often it was."""

    def __init__(self, what: Exchange, network: Network) -> None:
        self.sent = np.cumsum(what.up) / network.up
        self.up_s = float(self.sent[-1])
        self.first_sent = self.sent - what.up / network.up * (1 - 1 / what.calls)
        self.into = what.up / network.server
        self.first_into = self.into / what.calls
        self.out = what.down / network.server
        self.last_out = self.out / what.calls
        self.down = what.down / network.down
        self.down_s = float(self.down.sum())
        self.bytes = what.bytes
        self.count = 0


class OwnHosts:
    """Servers on hosts of their own: links and server threads are queues."""

    def __init__(self, timeline: Timeline, fleet: Fleet, network: Network) -> None:
        self._timeline = timeline
        self._latency_s = network.latency_s
        self._ahead_s = network.burst / network.up, network.burst / network.down
        self._network = network
        self._hosts = fleet.hosts
        self._up_free = [0.0] * fleet.hosts
        self._down_free = [0.0] * fleet.hosts
        self._in_free, self._free, self._out_free = (np.zeros(len(fleet.servers)) for _ in range(3))
        self._worked = np.zeros(len(fleet.servers))
        self._kinds: dict[int, _Carried] = {}

    def serve(self, host: int, what: Exchange, done: Do) -> None:
        kind = self._kinds.get(id(what))
        if kind is None:
            kind = self._kinds[id(what)] = _Carried(what, self._network)
        kind.count += 1
        now = self._timeline.now
        began = max(now, self._up_free[host])
        self._up_free[host] = began + kind.up_s
        # What a link lets through at once is there so much sooner.
        began, now = began - self._ahead_s[0] + self._latency_s, now + self._latency_s
        first = np.maximum(kind.first_sent + began, now)
        first = np.maximum(first, self._in_free + kind.first_into)
        sent = np.maximum(kind.sent + began, now)
        self._in_free = np.maximum(sent, self._in_free + kind.into)
        service = what.service * next(what.noise)
        self._worked += service
        begun = np.maximum(first, self._free)
        each = service / what.calls
        self._free = np.maximum(begun + service, self._in_free + each)
        answering = np.maximum(begun + each, self._out_free)
        self._out_free = np.maximum(answering + kind.out, self._free + kind.last_out)
        self._timeline.at(self._received(host, kind, answering + self._latency_s), done)

    def _received(self, host: int, kind: _Carried, answering: Array) -> float:
        """When the last reply is there: the link takes one after another, as they come."""
        order = np.argsort(answering)
        left = np.cumsum(kind.down[order][::-1])[::-1]
        free = max(self._down_free[host] + kind.down_s, float((answering[order] + left).max()))
        self._down_free[host] = free
        last = float(self._out_free.max()) + self._latency_s
        return max(free - self._ahead_s[1], last)

    @property
    def moved(self) -> float:
        return sum(kind.bytes * kind.count for kind in self._kinds.values())

    def busy(self, elapsed_s: float) -> dict[str, float]:
        kinds = self._kinds.values()
        server = [sum((getattr(k, way) * k.count for k in kinds), 0.0) for way in ("into", "out")]
        host = [sum(getattr(k, way) * k.count for k in kinds) for way in ("up_s", "down_s")]
        return {
            "servers": float(self._worked.max()) / elapsed_s,
            "server links": max(float(np.max(each)) for each in server) / elapsed_s,
            "worker links": max(host) / self._hosts / elapsed_s,
        }

    def cpu_s(self) -> float:
        return float(self._worked.sum())


class OneHost:
    """Servers that share the cores of the one host with everybody else."""

    def __init__(self, timeline: Timeline, fleet: Fleet, cores: Cores) -> None:
        self._threads = [SerialThread(timeline, cores) for _ in range(len(fleet.servers))]
        self._worked = np.zeros(len(fleet.servers))
        self._moved = 0.0

    @property
    def moved(self) -> float:
        return self._moved

    def serve(self, host: int, what: Exchange, done: Do) -> None:
        self._moved += what.bytes
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
    back = partial(cores.wake, what.waits, partial(cores.burn, after, done))
    cores.burn(next(what.client), partial(servers.serve, host, what, back))
