"""A server that belongs to one test, which may kill, freeze and configure it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from distbelief.app.client.servers import Servers
from distbelief.coordinator.cluster.binaries import ServerProgram
from distbelief.coordinator.cluster.processes import Child, end

START_S = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class PrivateServer:
    """A context manager: listens on a Unix socket and on a TCP port of the loopback device.

    With ``password`` it asks for one; ``url`` then holds it. ``options`` are more arguments of
    the program, which override those that are here, and ``environment`` its further variables.
    """

    def __init__(
        self,
        program: ServerProgram,
        *,
        password: str = "",
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._program, self._password = program, password
        self._options, self._environment = options, {**os.environ, **(environment or {})}
        # A short path: that of a Unix socket has room for 107 characters.
        self._folder = Path(tempfile.mkdtemp(prefix="distbelief-test-"))
        self._child: Child | None = None
        self.port = free_port()
        self.socket = self._folder / "server.sock"

    @property
    def url(self) -> str:
        return f"unix://{self._user}{self.socket}"

    @property
    def tcp_url(self) -> str:
        return f"redis://{self._user}127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.process.pid

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def start(self) -> None:
        """Start it, with what its files hold, and wait until it answers."""
        self._child = Child.start("server", self._command, self._folder, self._environment)
        with connected(self.url) as servers:
            servers.one("PING", timeout_s=START_S)

    @property
    def _command(self) -> list[str]:
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder)]
        arguments += ["--unixsocket", str(self.socket), "--save", "", "--appendonly", "no"]
        arguments += ["--maxmemory-policy", "noeviction"]
        if self._password:
            arguments += ["--requirepass", self._password]
        return [self._program.path, *arguments, *self._options]

    def kill(self) -> None:
        """End it without a warning: SIGKILL."""
        assert self._child is not None
        self._child.process.kill()
        self._child.process.wait()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Connections stay, nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        if self._child is not None:
            end([self._child], 5.0)
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _user(self) -> str:
        return f":{self._password}@" if self._password else ""


@contextmanager
def connected(*urls: str, deadline_s: float = 10.0) -> Iterator[Servers]:
    """Clients that are closed in the end."""
    servers = Servers(urls, deadline_s=deadline_s)
    try:
        yield servers
    finally:
        servers.close()


def contents(servers: Servers) -> dict[bytes, object]:
    """Every key of the first server with all that it holds, to be compared with ==."""
    return {key: _value(servers, key) for key in servers.one("KEYS", "*")}


def _value(servers: Servers, key: bytes) -> object:
    kind = servers.one("TYPE", key)
    if kind == b"hash":
        fields = servers.one("HGETALL", key)  # in no order
        return dict(zip(fields[::2], fields[1::2], strict=True))
    if kind == b"set":
        return sorted(servers.one("SMEMBERS", key))
    return servers.one("LRANGE", key, 0, -1) if kind == b"list" else servers.one("GET", key)
