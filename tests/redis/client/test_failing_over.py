"""What servers answer while they fail over, load or cannot save: asked again until it passes."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis

from distbelief.app.client.failures import refused
from distbelief.app.client.servers import Servers
from distbelief.app.errors import ServerRefused
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.optimizers.rules.sgd import SGD
from distbelief.app.store.contract.parameters import Token
from distbelief.app.store.redis.parameters import RedisParameterStore
from distbelief.coordinator.cluster.binaries import ServerProgram
from tests.redis.private import PrivateServer, connected, free_port

LAYOUT = Layout((TensorSpec("w", (40,)),), block_numbers=10, n_shards=2, n_servers=1)
TOKEN = Token(fence=1, stream=0, attempt=1)
PATIENCE_S = 60.0


@pytest.fixture
def clients(private: PrivateServer) -> Iterator[Servers]:
    with connected(private.url) as servers:
        yield servers


def still_waiting(future: Future[Any]) -> Future[Any]:
    with pytest.raises(TimeoutError):
        future.result(timeout=0.3)
    return future


def test_a_replica_without_its_primary_is_asked_again_until_it_is_promoted(
    clients: Servers, background: ThreadPoolExecutor
) -> None:
    clients.one("SET", "key", "value")
    clients.one("CONFIG", "SET", "replica-serve-stale-data", "no")
    clients.one("REPLICAOF", "127.0.0.1", free_port())
    asked = still_waiting(background.submit(clients.one, "GET", "key"))  # MASTERDOWN
    clients.one("REPLICAOF", "NO", "ONE")
    assert asked.result(PATIENCE_S) == b"value"


def test_whoever_waits_for_an_element_waits_on_when_the_server_is_demoted(
    clients: Servers, background: ThreadPoolExecutor
) -> None:
    waiting = still_waiting(background.submit(clients.pop, "list", PATIENCE_S))
    clients.one("REPLICAOF", "127.0.0.1", free_port())  # UNBLOCKED, then READONLY
    still_waiting(waiting)
    clients.one("REPLICAOF", "NO", "ONE")
    clients.one("RPUSH", "list", "element")
    assert waiting.result(PATIENCE_S) == b"element"


def test_a_server_that_loads_its_data_is_asked_again(program: ServerProgram) -> None:
    slowly = ("--key-load-delay", "100000", "--loading-process-events-interval-bytes", "1024")
    files = ("--appendonly", "yes", *slowly)
    with PrivateServer(program, options=files) as server, connected(server.url) as clients:
        store = RedisParameterStore(clients, "run", LAYOUT, SGD(1.0), fence=1)
        store.create(np.zeros(40))
        server.kill()
        server.start()
        assert store.push(TOKEN, 1, np.ones(40)).answers == ("APPLIED",) * 2


@contextmanager
def full_disk(program: ServerProgram) -> Iterator[Servers]:
    """A server that refuses all writes, for it could not save."""
    disk = Path(tempfile.mkdtemp())
    options = ("--dir", str(disk), "--save", "3600 1000000000")
    with PrivateServer(program, options=options) as server, connected(server.url) as clients:
        RedisParameterStore(clients, "run", LAYOUT, SGD(1.0), fence=1).create(np.zeros(40))
        shutil.rmtree(disk)
        clients.one("BGSAVE")
        deadline = time.monotonic() + PATIENCE_S
        while b"rdb_last_bgsave_status:err" not in clients.one("INFO", "persistence"):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield clients
        clients.one("CONFIG", "SET", "save", "")  # it could not end, either


def test_a_full_disk_is_waited_for_and_nothing_is_half_written(
    program: ServerProgram, background: ThreadPoolExecutor
) -> None:
    with full_disk(program) as clients:
        store = RedisParameterStore(clients, "run", LAYOUT, SGD(1.0), fence=1)
        pushed = still_waiting(background.submit(store.push, TOKEN, 1, np.ones(40)))
        clients.one("CONFIG", "SET", "stop-writes-on-bgsave-error", "no")
        assert pushed.result(PATIENCE_S).answers == ("APPLIED",) * 2
        assert store.fetch().vector.tolist() == [-1.0] * 40


def test_a_disk_that_stays_full_is_told_in_the_servers_words(program: ServerProgram) -> None:
    with full_disk(program) as clients:
        clients.deadline_s = 0.3
        with pytest.raises(ServerRefused, match=r"refused a command, still after 0\.3 s: MISCONF"):
            clients.one("SET", "key", "value")


@pytest.mark.parametrize("kind", [redis.exceptions.MovedError, redis.exceptions.AskError])
def test_a_node_of_a_cluster_is_named_as_such(kind: type[redis.exceptions.AskError]) -> None:
    said = str(refused("redis://here:1", kind("3999 10.0.0.1:6381")))
    assert said.startswith("redis://here:1 is a node of a cluster (")
    assert said.endswith("name the cluster, as redis+cluster://HOST:PORT,HOST:PORT")
