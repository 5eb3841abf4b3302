"""Servers and workers that are there to be hurt, and what the servers hold."""

from __future__ import annotations

import heapq
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

import psutil
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from distbelief.app.client.servers import Servers
from distbelief.app.layout import keys
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.cluster.processes import Child

SERVERS = 2
WORKERS = ("worker0", "worker1")
PROCESSES = 2

#: We ask only servers that we have not hurt; one that does not answer so soon is left alone.
ANSWER_S = 2.0
WELL_S = 60.0


class Fleet:
    """A cluster whose servers and workers are hurt by name, and get well after a while.

    Nothing here waits: what is to happen later is done by :meth:`advance`. Who is ill is
    left alone until then, so that one fault does not undo another.
    """

    def __init__(self, cluster: LocalCluster) -> None:
        self.cluster = cluster
        self.place = cluster.endpoints
        urls = [self.place.broker, *self.place.parameter_servers]
        self.servers = ["control", *(f"parameters{index}" for index in range(SERVERS))]
        self._clients = dict(zip(self.servers, map(_client, urls), strict=True))
        self._ill: set[str] = set()
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._number = count()
        for name in WORKERS:
            cluster.start_worker(PROCESSES, name)

    def well(self, *names: str) -> list[str]:
        """Those of ``names`` that nothing is wrong with."""
        return [name for name in names if name not in self._ill]

    def advance(self, *, hurry: bool = False) -> None:
        """Do what is due by now; everything in a ``hurry``."""
        while self._later and (hurry or self._later[0][0] <= time.monotonic()):
            heapq.heappop(self._later)[2]()

    def heal(self) -> None:
        """Mend everything, and wait until the servers answer."""
        self.advance(hurry=True)
        servers = Servers([self.place.broker, *self.place.parameter_servers], deadline_s=WELL_S)
        for index in range(len(servers)):
            servers.one("PING", server=index)
        servers.close()

    def close(self) -> None:
        """End what is frozen, too: the cluster ends the rest."""
        for child in self.cluster.children:
            with suppress(ProcessLookupError):
                os.killpg(child.process.pid, signal.SIGCONT)
        for client in self._clients.values():
            client.close()

    def freeze(self, name: str, seconds: float) -> None:
        """Stop all processes of a server or a worker for a while."""
        group = self._child(name).process.pid
        os.killpg(group, signal.SIGSTOP)
        self._mend_later(name, seconds, lambda: os.killpg(group, signal.SIGCONT))

    def kill(self, name: str, seconds: float) -> None:
        """Kill all processes of a server or a worker; it starts again after a while."""
        child = self._child(name)
        os.killpg(child.process.pid, signal.SIGKILL)
        child.process.wait()
        index = self.cluster.children.index(child)

        def start_again() -> None:
            self.cluster.children[index] = child.again()

        self._mend_later(name, seconds, start_again)

    def pool(self, worker: str) -> list[psutil.Process]:
        """The processes of a worker that do its work."""
        processes: list[psutil.Process] = psutil.Process(self._child(worker).process.pid).children()
        return processes

    def ask(self, server: str, *words: str) -> Any:
        """A server's answer; None if it gives none."""
        with suppress(redis.RedisError):
            client: Any = self._clients[server]  # redis-py types this method only in part
            return client.execute_command(*words)
        return None

    def clocks(self, run: str, n_shards: int) -> list[int | None]:
        """Applied pushes of each shard; None of one that does not know the run."""
        clocks: list[int | None] = []
        for shard in range(n_shards):
            server = f"parameters{shard % SERVERS}"
            answer = self._clients[server].hget(keys.shard(run, shard, "meta"), "clock")
            clocks.append(None if answer is None else int(answer))
        return clocks

    def _mend_later(self, name: str, seconds: float, mend: Callable[[], None]) -> None:
        def mended() -> None:
            mend()
            self._ill.discard(name)

        self._ill.add(name)
        heapq.heappush(self._later, (time.monotonic() + seconds, next(self._number), mended))

    def _child(self, name: str) -> Child:
        return next(child for child in self.cluster.children if child.name == name)


@contextmanager
def hurt(cluster: LocalCluster) -> Iterator[Fleet]:
    """The fleet of a cluster; close it before the cluster, which cannot end what is frozen."""
    fleet = Fleet(cluster)
    try:
        yield fleet
    finally:
        fleet.close()


def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_timeout=ANSWER_S, retry=Retry(NoBackoff(), 0))
