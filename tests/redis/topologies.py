"""Servers that know of one another: a cluster of nodes, a master with its sentinels."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from distbelief.coordinator.cluster.binaries import ServerProgram
from tests.redis.private import PrivateServer, free_port

PATIENCE_S = 60.0
POLL_S = 0.02


def until(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            if condition():
                return
        except redis.RedisError:  # not there yet, or not any more
            pass
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE_S:g} s"
        time.sleep(POLL_S)


class Node(PrivateServer):
    """A server and a plain client of it; ``bus`` is its port for other nodes of a cluster.

    With ``tls``, options that begin with ``tls-``, its port speaks nothing else.
    """

    def __init__(
        self,
        program: ServerProgram,
        options: Sequence[str],
        password: str = "",
        bus: int = 0,
        tls: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(program, password=password, options=options)
        self.bus = bus
        self._tls = tls
        socket, secret = str(self.socket), password or None
        self.client = redis.Redis(unix_socket_path=socket, password=secret, protocol=2)

    def ask(self, *words: Any) -> Any:
        """A reply as it comes."""
        with self.client.client() as one:
            one.response_callbacks.clear()
            return one.execute_command(*words)

    def told(self, *words: Any) -> dict[str, str]:
        """A reply of lines with a name and a value each."""
        lines = self.ask(*words).decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def info(self, field: str) -> str:
        return self.told("INFO", "replication")[field]

    def close(self) -> None:
        self.client.close()
        super().close()

    @property
    def _command(self) -> list[str]:
        words = (word for name, value in self._ports.items() for word in (f"--{name}", value))
        return [*super()._command, *words]

    @property
    def _ports(self) -> dict[str, str]:
        """Options for who listens where."""
        if self._tls is None:
            return {"port": str(self.port)}
        return {"port": "0", "tls-port": str(self.port), **self._tls}


class PrivateCluster:
    """Three masters with a share of the slots each, and a replica of each if there are any."""

    def __init__(
        self,
        program: ServerProgram,
        *,
        replicas: bool = True,
        password: str = "",
        options: Sequence[str] = (),
    ) -> None:
        self._program, self._replicas, self._password = program, replicas, password
        self._options = options
        self._stack = ExitStack()
        self.nodes: list[Node] = []

    @property
    def url(self) -> str:
        user = f":{self._password}@" if self._password else ""
        places = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes[:2])
        return f"redis+cluster://{user}{places}"

    def __enter__(self) -> PrivateCluster:
        with self._stack:
            self.nodes = [self._start() for _ in range(6 if self._replicas else 3)]
            first = self.nodes[0]
            for node in self.nodes[1:]:
                node.ask("CLUSTER", "MEET", "127.0.0.1", first.port, first.bus)
            for index, node in enumerate(self.nodes[:3]):
                ends = [REDIS_CLUSTER_HASH_SLOTS * each // 3 for each in (index, index + 1)]
                node.ask("CLUSTER", "ADDSLOTSRANGE", ends[0], ends[1] - 1)
            until(
                lambda: all(len(self._known(each)) == len(self.nodes) for each in self.nodes), "met"
            )
            for master, replica in zip(self.nodes[:3], self.nodes[3:], strict=False):
                replica.ask("CLUSTER", "REPLICATE", self.id(master))
            until(lambda: all(map(self._well, self.nodes)), "a cluster")
            self._stack.pop_all()
        for node in self.nodes:
            self._stack.callback(node.close)
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def id(self, node: Node) -> str:
        return str(node.ask("CLUSTER", "MYID").decode())

    def owner(self, key: str) -> Node:
        """The master that has a key's slot, by what the first node says that answers."""
        for node in self.nodes:
            with suppress(redis.RedisError):
                return self._owner(key, node)
        raise AssertionError(f"nobody has the slot of {key}")

    def _owner(self, key: str, node: Node) -> Node:
        """The same by what one node says."""
        slot = key_slot(key.encode())
        for first, last, master, *_ in node.ask("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(each for each in self.nodes if each.port == master[1])
        raise AssertionError(f"nobody has the slot of {key}")

    @contextmanager
    def joined(self) -> Iterator[Node]:
        """One master more, which has no slots."""
        fresh, (first, *_) = self._start(), self.nodes
        others, self.nodes = self.nodes, [*self.nodes, fresh]
        fresh.ask("CLUSTER", "MEET", "127.0.0.1", first.port, first.bus)
        until(lambda: all(len(self._known(each)) == len(self.nodes) for each in self.nodes), "met")
        until(lambda: fresh.told("CLUSTER", "INFO")["cluster_state"] == "ok", "a cluster")
        yield fresh
        gone, self.nodes = self.id(fresh), others
        for node in others:
            node.ask("CLUSTER", "FORGET", gone)

    def begin_moving(self, key: str, to: Node) -> tuple[int, Node]:
        """Mark a key's slot as moving, without its keys."""
        slot, source = key_slot(key.encode()), self.owner(key)
        to.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", self.id(source))
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", self.id(to))
        return slot, source

    def move(self, key: str, to: Node, pause_s: float = 0.0) -> None:
        """Move a key's slot with all of its keys, one after another."""
        slot, source = self.begin_moving(key, to)
        while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 1):
            time.sleep(pause_s)
            words = ["MIGRATE", "127.0.0.1", to.port, "", 0, 5000]
            words += ["AUTH", self._password] if self._password else []
            source.ask(*words, "KEYS", *keys)
        for node in (to, source):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", self.id(to))
        # Of moves behind one another, nodes may believe different ones for good.
        until(lambda: all(self._owner(key, node) is to for node in self.nodes), "one owner")

    def fail(self, master: Node) -> None:
        """Kill a master, and wait until its replica is in its place."""
        replica = self.nodes[self.nodes.index(master) + 3]
        master.kill()
        until(lambda: replica.info("role") == "master", "a failover")

    def _start(self) -> Node:
        bus = free_port()
        options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1500"]
        options += ["--cluster-port", str(bus), "--cluster-config-file", "nodes.conf"]
        options += ["--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0"]
        options += ["--cluster-allow-replica-migration", "no"]
        if self._password:
            options += ["--masterauth", self._password]
        node = Node(self._program, [*options, *self._options], self._password, bus)
        return self._stack.enter_context(node)

    def _known(self, node: Node) -> list[bytes]:
        lines: list[bytes] = node.ask("CLUSTER", "NODES").splitlines()
        return [line for line in lines if b"handshake" not in line]

    def _well(self, node: Node) -> bool:
        replicas = self.nodes.index(node) < 3 or node.info("master_link_status") == "up"
        return node.told("CLUSTER", "INFO")["cluster_state"] == "ok" and replicas


class PrivateSentinels:
    """A master, a replica, and three sentinels that know them by the name ``name``."""

    name = "trainers"

    def __init__(
        self,
        program: ServerProgram,
        *,
        password: str = "",
        options: Sequence[str] = (),
        tls: Mapping[str, str] | None = None,
    ) -> None:
        self._program, self._password = program, password
        self._options, self._tls = options, tls
        self._stack = ExitStack()
        self.servers: list[Node] = []
        self.sentinels: list[Node] = []

    @property
    def url(self) -> str:
        user = f":{self._password}@" if self._password else ""
        places = ",".join(f"127.0.0.1:{each.port}" for each in self.sentinels)
        scheme = "sentinel" if self._tls is None else "rediss+sentinel"
        return f"{scheme}://{user}{places}/{self.name}"

    def __enter__(self) -> PrivateSentinels:
        with self._stack:
            options = ["--repl-diskless-sync-delay", "0", *self._options]
            options += ["--masterauth", self._password] if self._password else []
            self.servers = [self._start(options) for _ in range(2)]
            master, replica = self.servers
            replica.ask("REPLICAOF", "127.0.0.1", master.port)
            until(lambda: replica.info("master_link_status") == "up", "a replica")
            self.sentinels = [self._start_sentinel(master) for _ in range(3)]
            until(lambda: all(map(self._well, self.sentinels)), "sentinels")
            self._stack.pop_all()
        for each in [*self.servers, *self.sentinels]:
            self._stack.callback(each.close)
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @property
    def master(self) -> Node:
        return next(each for each in self.servers if self._answers_as_master(each))

    def fail(self) -> Node:
        """Kill the master, and wait until the other one is in its place; the killed one."""
        master = self.master
        other = next(each for each in self.servers if each is not master)
        master.kill()
        until(lambda: other.info("role") == "master", "a failover")
        return master

    def _answers_as_master(self, node: Node) -> bool:
        try:
            return bool(node.info("role") == "master")
        except redis.RedisError:
            return False

    def _start(self, options: Sequence[str]) -> Node:
        node = Node(self._program, options, self._password, tls=self._tls)
        return self._stack.enter_context(node)

    def _start_sentinel(self, master: Node) -> Node:
        lines = [f"sentinel monitor {self.name} 127.0.0.1 {master.port} 2"]
        lines += [f"sentinel down-after-milliseconds {self.name} 1000"]
        lines += [f"sentinel failover-timeout {self.name} 5000"]
        if self._password:
            lines += [f"sentinel auth-pass {self.name} {self._password}"]
        return self._stack.enter_context(Sentinel(self._program, lines, self._tls))

    def _well(self, sentinel: Node) -> bool:
        words = sentinel.ask("SENTINEL", "MASTER", self.name)
        state = dict(zip(words[::2], words[1::2], strict=True))
        return bool(state[b"num-other-sentinels"] == b"2" and state[b"num-slaves"] == b"1")


class Sentinel(Node):
    """A server that watches others."""

    def __init__(
        self, program: ServerProgram, lines: Sequence[str], tls: Mapping[str, str] | None
    ) -> None:
        super().__init__(program, (), tls=tls)
        self._lines = lines

    @property
    def _command(self) -> list[str]:
        path = Path(self._folder) / "sentinel.conf"
        own = [f"{name} {value}" for name, value in self._ports.items()]
        own += ["bind 127.0.0.1", f"unixsocket {self.socket}"]
        path.write_text("\n".join([*own, f"dir {self._folder}", *self._lines, ""]))
        return [self._program.path, str(path), "--sentinel"]
