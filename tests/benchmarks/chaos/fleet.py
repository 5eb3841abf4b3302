"""Servers and workers that are there to be hurt, and what the servers hold."""

from __future__ import annotations

import heapq
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from enum import Enum
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from distbelief.app.client.commands import Command
from distbelief.app.layout import keys
from distbelief.app.layout.keys import CELERY_PREFIX
from distbelief.app.store.native import library
from distbelief.coordinator.cluster import binaries
from distbelief.coordinator.cluster.endpoints import Endpoints
from distbelief.coordinator.cluster.processes import Child, end, import_path
from tests.cluster.faults.pairs import Pair
from tests.cluster.faults.private_fleet import OURS, start_worker
from tests.redis.client.dumps import dumped, put_back
from tests.redis.private import PrivateServer, connected

SERVERS = 2
WORKERS = ("worker0", "worker1")
PROCESSES = 2

#: We ask only servers that we have not hurt; one that does not answer so soon is left alone.
ANSWER_S = 2.0
WELL_S = 60.0

#: How far behind a replica is that takes over, and how long it then has none itself.
BEHIND_S = 0.5
ALONE_S = 1.0


class Keeping(Enum):
    """What parameter servers have after they were killed: arguments of a server.

    The control server keeps a file of all commands but where nothing is kept.
    """

    NOTHING = ()
    COMMANDS = ("--appendonly", "yes")
    SNAPSHOTS = ("--save", "1 1")


class Fleet:
    """Servers and workers that are hurt by name, and get well after a while.

    Nothing here waits: what is to happen later is done by :meth:`advance`. Who is ill is
    left alone until then, so that one fault does not undo another.

    Args:
        stack: ends it all.
        folder: where workers' logs go.
        keeping: what parameter servers have after they were killed.
        team: whether workers are those of a team's own application (``team/shop.py``).
    """

    def __init__(
        self, stack: ExitStack, folder: Path, keeping: Keeping, *, team: bool = False
    ) -> None:
        self.keeping = keeping
        self._team = team
        #: Workers of the team that ended by themselves, which whoever runs them starts again.
        self.ended = 0
        #: When a server last came back with older data, in seconds since 1970.
        self.older_since: dict[str, float] = {}
        program, module = binaries.find(), library()
        engine = () if module is None else ("--loadmodule", str(module))
        own = Keeping.COMMANDS if keeping is Keeping.SNAPSHOTS else keeping
        self._control = stack.enter_context(PrivateServer(program, options=own.value))
        options = (*engine, *keeping.value)
        self._pairs = {
            f"parameters{index}": Pair(stack, program, options) for index in range(SERVERS)
        }
        urls = [pair.url for pair in self._pairs.values()]
        self.place = Endpoints(
            self._control.tcp_url, tuple(urls), celery_app="shop" if team else None
        )
        self.servers = ["control", *self._pairs]
        self._clients = dict(
            zip(self.servers, map(_client, [self.place.broker, *urls]), strict=True)
        )
        self._ill: set[str] = set()
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._number, self._healing = count(), False
        self._workers: dict[str, Child] = {}
        stack.callback(self._close)
        variables = {
            "DISTBELIEF_BROKER": self.place.broker,
            "DISTBELIEF_PARAMETER_SERVERS": ",".join(self.place.parameter_servers),
            "DISTBELIEF_ALLOWED_IMPORTS": "slowmodels",
        }
        if team:
            os.environ["SHOP_BROKER"] = self.place.broker  # for coordinators, too
            path = os.pathsep.join([os.environ["PYTHONPATH"], import_path()])
            variables |= {"PYTHONPATH": path, "C_FORCE_ROOT": "1"}  # it takes pickles
            del variables["DISTBELIEF_BROKER"]
        app = ("shop", "-Q", "celery,training") if team else OURS
        for name in WORKERS:
            self._workers[name] = start_worker(folder, PROCESSES, variables, name, app)

    def well(self, *names: str) -> list[str]:
        """Those of ``names`` that nothing is wrong with."""
        return [name for name in names if name not in self._ill]

    def advance(self, *, hurry: bool = False) -> None:
        """Do what is due by now; everything in a ``hurry``."""
        while self._later and (hurry or self._later[0][0] <= time.monotonic()):
            heapq.heappop(self._later)[2]()
        for name in self.well(*self._workers) if self._team else ():
            if self._workers[name].process.poll() is not None:
                self.ended += 1
                self._workers[name] = self._workers[name].again()

    def heal(self) -> None:
        """Mend everything, and wait until the servers answer. Nobody goes back any more."""
        self._healing = True
        self.advance(hurry=True)
        self._healing = False
        with connected(self.place.broker, *self.place.parameter_servers, deadline_s=WELL_S) as all_:
            for index in range(len(all_)):
                all_.one("PING", server=index)

    # --- faults

    def freeze(self, name: str, seconds: float) -> None:
        """Stop all processes of a server or a worker for a while."""
        group = self._group(name)
        os.killpg(group, signal.SIGSTOP)
        self._mend_later(name, seconds, lambda: os.killpg(group, signal.SIGCONT))

    def kill(self, name: str, seconds: float) -> None:
        """Kill all processes of a server or a worker; it starts again after a while."""
        if name in self._workers:
            worker = self._workers[name]
            os.killpg(worker.process.pid, signal.SIGKILL)
            worker.process.wait()

            def start_again() -> None:
                self._workers[name] = worker.again()

            self._mend_later(name, seconds, start_again)
            return
        server = self._server(name)
        server.kill()
        if name in self._pairs and self.keeping is Keeping.SNAPSHOTS:
            self.older_since[name] = time.time()
        self._mend_later(name, seconds, server.start)

    def fail_over(self, name: str) -> bool:
        """The replica takes over half a second after it got its last change, if it has a link."""
        pair = self._pairs[name]
        if not pair.linked:
            return False
        pair.part()

        def promote() -> None:
            if self._healing:
                self._mend_later(name, 0.0, pair.follow)
                return
            pair.promote()
            self.older_since[name] = time.time()
            self._mend_later(name, ALONE_S, pair.again)

        self._do_later(name, BEHIND_S, promote)
        return True

    def roll_back(self, name: str, run: str, shard: int, seconds: float) -> bool:
        """Put a shard back, after a while, to what it is now, if it is there."""
        pattern = keys.shard(run, shard, "*")
        with connected(self._pairs[name].primary.url) as server:
            older = dumped(server, pattern)
        if not older:
            return False

        def go_back() -> None:
            if self._healing:
                return
            with connected(self._pairs[name].primary.url) as server:
                put_back(server, pattern, 0, older)
            self.older_since[name] = time.time()

        self._mend_later(name, seconds, go_back)
        return True

    # --- how it stands

    def queues(self, kind: str) -> list[str]:
        """The keys of the queue of a kind of work: with a team's application, of each priority."""
        if not self._team:
            return [f"{CELERY_PREFIX}{kind}"]
        steps = ("", *(f"\x06\x16{priority}" for priority in (3, 6, 9)))  # kombu's
        return [f"shop:training{step}" for step in steps]

    def pool(self, worker: str) -> list[psutil.Process]:
        """The processes of a worker that do its work."""
        processes: list[psutil.Process] = psutil.Process(self._group(worker)).children()
        return processes

    def ask(self, server: str, *words: str) -> Any:
        """A server's answer; None if it gives none."""
        with suppress(redis.RedisError):
            client: Any = self._clients[server]  # redis-py types this method only in part
            return client.execute_command(*words)
        return None

    def shards(self, run: str, server: str) -> list[int]:
        """The shards of a run that a server has now."""
        found = self.ask(server, "KEYS", keys.patterns(run)[1]) or []
        return sorted({int(key.partition(b"}")[0].rpartition(b"/")[2]) for key in found})

    def clocks(self, run: str, n_shards: int) -> list[int | None]:
        """Applied pushes of each shard; None of one that does not know the run."""
        commands = [
            Command(shard % SERVERS, ("HGET", keys.shard(run, shard, "meta"), "clock"))
            for shard in range(n_shards)
        ]
        with connected(*self.place.parameter_servers, deadline_s=WELL_S) as servers:
            return [None if clock is None else int(clock) for clock in servers.call(commands)]

    # ---

    def _mend_later(self, name: str, seconds: float, mend: Callable[[], None]) -> None:
        def mended() -> None:
            self._ill.discard(name)
            mend()  # which may have something else to come

        self._do_later(name, seconds, mended)

    def _do_later(self, name: str, seconds: float, action: Callable[[], None]) -> None:
        self._ill.add(name)
        heapq.heappush(self._later, (time.monotonic() + seconds, next(self._number), action))

    def _server(self, name: str) -> PrivateServer:
        return self._control if name == "control" else self._pairs[name].primary

    def _group(self, name: str) -> int:
        """The number of a server's or a worker's process, and of its group."""
        if name in self._workers:
            return self._workers[name].process.pid
        return self._server(name).pid

    def _close(self) -> None:
        """End workers, also those that are frozen, and the frozen servers' sleep."""
        for name in (*self._workers, *self.servers):
            with suppress(ProcessLookupError):
                os.killpg(self._group(name), signal.SIGCONT)
        end([*self._workers.values()], 0.0)
        for client in self._clients.values():
            client.close()


@contextmanager
def hurt(folder: Path, keeping: Keeping, *, team: bool = False) -> Iterator[Fleet]:
    """A fleet; ends with all its processes."""
    folder.mkdir(parents=True)
    with ExitStack() as stack:
        yield Fleet(stack, folder, keeping, team=team)


def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_timeout=ANSWER_S, retry=Retry(NoBackoff(), 0))
