"""Embedded servers that die: started again where they were, unless they die again and again."""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from distbelief.app.client.servers import Servers
from distbelief.app.errors import ServerError
from distbelief.app.store.engines import choose_engines
from distbelief.app.store.native import library
from distbelief.coordinator.cluster import keeping, local
from distbelief.coordinator.cluster.binaries import ServerProgram
from distbelief.coordinator.cluster.keeping import MOST_EARLY_ENDS
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.cluster.processes import Child
from tests.redis.private import connected

DEADLINE_S = 60.0

Start = Callable[..., LocalCluster]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def start(program: ServerProgram, tmp_path: Path, said: list[str]) -> Iterator[Start]:
    """Start a control server and a parameter server."""
    started: list[LocalCluster] = []

    def start_cluster(durable: Path | None = None) -> LocalCluster:
        cluster = LocalCluster(
            servers=1,
            processes=0,
            folder=tmp_path,
            wait_s=DEADLINE_S,
            program=program,
            durable=durable,
            say=said.append,
        )
        started.append(cluster)
        return cluster.__enter__()

    yield start_cluster
    for cluster in started:
        cluster.close()


@pytest.mark.skipif(library() is None, reason="the native engine is not built")
def test_servers_share_memory_in_a_private_folder_that_goes_with_them(start: Start) -> None:
    cluster = start()
    with connected(*cluster.endpoints.parameter_servers) as servers:
        choose_engines(servers, "native", DEADLINE_S)
        folder = servers.shared_folder()
    assert folder is not None
    assert folder.stat().st_mode & 0o777 == 0o700
    cluster.close()
    assert not folder.exists()


def kill(cluster: LocalCluster, name: str) -> int:
    """Kill a child and wait for its end; its process id."""
    (child,) = (child for child in cluster.children if child.name == name)
    child.process.kill()
    child.process.wait(DEADLINE_S)
    return child.process.pid


def parameters(cluster: LocalCluster) -> str:
    (url,) = cluster.endpoints.parameter_servers
    return url


def keys(servers: Servers) -> int:
    """How many keys a server has, once it answers."""
    return int(servers.one("DBSIZE", timeout_s=DEADLINE_S))


def test_a_worker_comes_up_while_the_servers_do(
    program: ServerProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there: list[str] = []

    def wait_for(urls: list[str], children: list[Child], *_: object) -> None:
        there.extend(each.name for each in children)

    monkeypatch.setattr(local, "wait_for", wait_for)
    with LocalCluster(servers=1, processes=1, folder=tmp_path, program=program):
        assert there == ["control", "parameters0", "worker"]


def test_nothing_is_said_while_all_live(start: Start, said: list[str]) -> None:
    cluster = start()
    before = [child.process.pid for child in cluster.children]
    cluster.check()
    assert [child.process.pid for child in cluster.children] == before
    assert said == []


def test_a_server_that_died_is_started_again_empty_at_its_place(
    start: Start, said: list[str]
) -> None:
    cluster = start()
    with connected(parameters(cluster)) as servers:
        servers.one("SET", "key", "value")
        assert keys(servers) == 1
        dead = kill(cluster, "parameters0")
        cluster.check()
        assert said == ["parameters0 ended with exit code -9: started again"]
        assert keys(servers) == 0
    assert dead not in [child.process.pid for child in cluster.children]
    assert [child.name for child in cluster.children] == ["control", "parameters0"]


def test_a_durable_server_comes_back_with_what_it_had(start: Start, tmp_path: Path) -> None:
    cluster = start(durable=tmp_path / "servers")
    with connected(parameters(cluster)) as servers:
        servers.one("SET", "key", "value")
        kill(cluster, "parameters0")
        cluster.check()
        assert keys(servers) == 1
        assert servers.one("GET", "key") == b"value"


def test_a_durable_cluster_finds_what_the_one_before_it_had(start: Start, tmp_path: Path) -> None:
    first = start(durable=tmp_path / "servers")
    with connected(first.endpoints.broker, parameters(first)) as servers:
        servers.one("SET", "key", "of the control server")
        servers.one("SET", "key", "of a parameter server", server=1)
    first.close()
    second = start(durable=tmp_path / "servers")
    with connected(second.endpoints.broker, parameters(second)) as servers:
        assert servers.one("GET", "key", timeout_s=DEADLINE_S) == b"of the control server"
        assert servers.one("GET", "key", server=1) == b"of a parameter server"


def test_a_server_that_dies_again_and_again_ends_the_run_with_its_log(
    start: Start, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "EARLY_S", math.inf)
    cluster = start()
    for _ in range(MOST_EARLY_ENDS - 1):
        kill(cluster, "parameters0")
        cluster.check()
    kill(cluster, "parameters0")
    with pytest.raises(ServerError, match=r"parameters0 ended with exit code -9; its log .*\.log"):
        cluster.check()
    assert len(said) == MOST_EARLY_ENDS - 1
    monkeypatch.setattr(keeping, "EARLY_S", 0.0)
    with pytest.raises(ServerError, match=r"parameters0 ended"):  # given up for good
        cluster.check()


@pytest.mark.parametrize("name", ["control", "parameters0"])
def test_a_server_comes_back_while_a_call_waits_for_it(start: Start, name: str) -> None:
    cluster = start()
    with (
        connected(cluster.endpoints.broker, parameters(cluster)) as servers,
        cluster.kept_alive(),
    ):
        for _ in range(MOST_EARLY_ENDS - 1):
            kill(cluster, name)
            for each in range(len(servers)):
                assert servers.one("PING", server=each, timeout_s=DEADLINE_S) == b"PONG"


def test_a_cluster_that_is_closed_while_it_is_kept_alive_leaves_no_child(start: Start) -> None:
    cluster = start()
    with cluster.kept_alive():
        children = list(cluster.children)
        cluster.close()
        assert cluster.children == []
        cluster.check()
    assert all(child.process.poll() is not None for child in children)
    assert cluster.children == []


def test_ends_of_different_servers_are_counted_apart(
    start: Start, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "EARLY_S", math.inf)
    cluster = start()
    for _ in range(MOST_EARLY_ENDS - 1):
        for name in ("control", "parameters0"):
            kill(cluster, name)
        cluster.check()
    assert len(said) == 2 * (MOST_EARLY_ENDS - 1)


def test_a_server_that_lived_for_long_before_each_end_is_always_started_again(
    start: Start, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = start()
    for number in range(2 * MOST_EARLY_ENDS):
        # Every third one lived for long: the ends before it are forgiven.
        monkeypatch.setattr(keeping, "EARLY_S", 0.0 if number % 3 == 2 else math.inf)
        kill(cluster, "parameters0")
        cluster.check()
    assert len(said) == 2 * MOST_EARLY_ENDS


def test_a_cluster_that_was_closed_leaves_no_child(start: Start) -> None:
    cluster = start()
    kill(cluster, "parameters0")
    cluster.check()
    children = list(cluster.children)
    cluster.close()
    assert all(child.process.poll() is not None for child in children)


KILLED = """
import os, signal
from distbelief.coordinator.cluster.local import LocalCluster

cluster = LocalCluster(servers=1, processes=0).start()
print(cluster.endpoints.broker, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_folder_of_a_killed_coordinator_goes_with_the_next_start(
    program: ServerProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(prefix="swept-", dir="/tmp") as home:  # short, for sockets
        monkeypatch.setenv("TMPDIR", home)
        monkeypatch.setattr(tempfile, "tempdir", None)
        command = [sys.executable, "-c", KILLED]
        told = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=False)
        left = Path(told.stdout.strip().removeprefix("unix://")).parent
        assert left.parent == Path(home)
        assert left.is_dir()

        def start_another() -> bool:
            with LocalCluster(servers=1, processes=0, program=program) as cluster:
                (other,) = {Path(cluster.endpoints.broker.removeprefix("unix://")).parent}
                with LocalCluster(servers=1, processes=0, program=program):
                    assert other.is_dir(), "one that lives is left alone"
            return not left.exists()

        deadline = time.monotonic() + DEADLINE_S  # its servers end a moment after it
        while not start_another():
            assert time.monotonic() < deadline
        assert list(Path(home).glob("distbelief-*")) == []
