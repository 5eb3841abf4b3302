"""Passwords of servers change while a run trains: files are read again, nobody restarts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from distbelief.app.client.servers import Servers
from distbelief.coordinator.cluster import binaries
from tests.cluster.faults.paced import assert_exact, downpour, go
from tests.cluster.faults.private_fleet import pool, progress, worker
from tests.redis.private import PrivateServer, connected
from tests.redis.programs import existing

Start = Callable[..., Any]

USER = "trainer"
FIRST = "first / password?"
#: Between the change on the servers and that of the files.
BETWEEN_S = 1.5


class Secrets:
    """The files with the URLs of a control server and of two parameter servers."""

    def __init__(self, folder: Path, servers: list[PrivateServer]) -> None:
        self._servers = servers
        self._files = folder / "broker", folder / "parameters"
        self.environment = {
            "DISTBELIEF_BROKER_FILE": str(self._files[0]),
            "DISTBELIEF_PARAMETER_SERVERS_FILE": str(self._files[1]),
        }

    def write(self, password: str) -> None:
        """Write the files; the broker is reached by TCP, the others by sockets and TCP."""
        control, first, second = self._servers
        login = f"{USER}:{quote(password, safe='')}@"
        urls = (
            f"redis://{login}127.0.0.1:{control.port}/0",
            f"unix://{login}{first.socket}",
            f"redis://{login}127.0.0.1:{second.port}",
        )
        self._files[0].write_text(f"{urls[0]}\n")
        self._files[1].write_text(f"{urls[1]},{urls[2]}\n")

    def set(self, password: str) -> None:
        """Change the password on the servers, and cut all connections."""
        for server in self._servers:
            with connected(server.url) as admin:
                admin.one("ACL", "SETUSER", USER, "reset", "on", "allkeys", "allchannels")
                admin.one("ACL", "SETUSER", USER, "+@all", f">{password}")
                # Who has no password looks on: else nobody would need one.
                admin.one("ACL", "SETUSER", "default", "-@write")
                for kind in ("normal", "pubsub"):
                    admin.one("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")


@pytest.fixture(scope="module")
def rotated(module_command: Start, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A run during which the password changed: once first in the files, once on the servers."""
    folder = tmp_path_factory.mktemp("rotated")
    program = existing(binaries.bundled())
    with ExitStack() as stack:
        servers = [stack.enter_context(PrivateServer(program)) for _ in range(3)]
        secrets = Secrets(folder, servers)
        secrets.set(FIRST)
        secrets.write(FIRST)
        crew = stack.enter_context(worker(folder, 2, secrets.environment))
        control: Servers = stack.enter_context(connected(servers[0].url))
        training = module_command(*downpour(folder), environment=secrets.environment)
        progress(control, [training.run])
        before = pool(crew)
        secrets.write("s3c0nd-word")
        secrets.set("s3c0nd-word")
        progress(control, [training.run])
        secrets.set("th1rd-word")
        time.sleep(BETWEEN_S)
        secrets.write("th1rd-word")
        progress(control, [training.run])
        go(folder)
        training.ends()
        yield training, before, pool(crew), crew.log.read_text()


def test_every_push_counts_once_on_every_shard(rotated: Any) -> None:
    assert_exact(rotated[0])


def test_no_worker_is_restarted(rotated: Any) -> None:
    assert rotated[1] == rotated[2]


def test_no_password_is_told(rotated: Any) -> None:
    training, _, _, log = rotated
    for text in (training.out, training.err, log):
        for password in (FIRST, "s3c0nd-word", "th1rd-word"):
            assert f":{password}@" not in text
            assert password not in text
