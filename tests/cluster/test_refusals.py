"""Servers and workers that cannot be used: one sentence, an exit code, no traceback."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from distbelief.app.client.servers import Servers
from distbelief.app.errors import ExitCode, ScriptSelfTestFailed
from distbelief.app.settings.config import RunConfig
from distbelief.app.store.contract.parameters import Fetched
from distbelief.app.store.memory.parameters import MemoryParameterStore
from distbelief.app.store.memory.shards import MemoryShards
from distbelief.app.store.memory.vectors import MemoryVectorStore
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.doctor import preflight

Start = Callable[..., Any]


@contextmanager
def setting(url: str, name: str, value: str, before: str) -> Iterator[None]:
    """A server's setting, changed for a while; over one connection, so that we stay in."""
    servers = Servers([url])
    try:
        servers.one("CONFIG", "SET", name, value)
        yield
        servers.one("CONFIG", "SET", name, before)
    finally:
        servers.close()


def refused(training: Any, code: ExitCode) -> str:
    """The one sentence with which a training was refused."""
    assert training.ends() == code, training.err
    assert "Traceback" not in training.err
    assert training.alive() == []
    (message,) = training.err.splitlines()
    assert isinstance(message, str)
    assert message.startswith("error: ")
    return message


@pytest.mark.parametrize("which", ["control", "parameters1"])
def test_a_server_that_may_evict_parameters(which: str, bare: LocalCluster, command: Start) -> None:
    (url,) = (url for url in all_urls(bare) if which in url)
    with setting(url, "maxmemory-policy", "allkeys-lru", "noeviction"):
        message = refused(command("train", endpoints=bare.endpoints), ExitCode.EVICTION)
    assert url in message
    assert "allkeys-lru" in message
    assert "noeviction" in message


def all_urls(cluster: LocalCluster) -> list[str]:
    return [cluster.endpoints.broker, *cluster.endpoints.parameter_servers]


def test_a_server_that_wants_a_password(bare: LocalCluster, command: Start) -> None:
    url = bare.endpoints.parameter_servers[0]
    with setting(url, "requirepass", "secret", ""):
        message = refused(command("train", endpoints=bare.endpoints), ExitCode.AUTHENTICATION)
    assert f"{url} needs a password" in message


def test_a_server_that_wants_another_password(bare: LocalCluster, command: Start) -> None:
    url = bare.endpoints.broker
    with setting(url, "requirepass", "secret", ""):
        training = command(
            "train",
            *("--broker", f"{url}?password=guess"),
            *("--parameter-servers", bare.endpoints.parameter_servers[0]),
        )
        message = refused(training, ExitCode.AUTHENTICATION)
    assert f"{url} refused the user name or password" in message
    assert "guess" not in message


def test_a_server_that_is_not_there(bare: LocalCluster, command: Start) -> None:
    endpoints = bare.endpoints
    gone = f"{endpoints.broker}.gone"
    training = command(
        "train",
        *("--broker", endpoints.broker, "--wait-seconds=0.5"),
        *("--parameter-servers", f"{endpoints.parameter_servers[0]},{gone}"),
    )
    message = refused(training, ExitCode.UNREACHABLE)
    assert f"{gone} gave no answer within 0.5 s" in message


def test_no_worker_listens(bare: LocalCluster, command: Start) -> None:
    training = command("train", "--wait-seconds=0.5", endpoints=bare.endpoints)
    message = refused(training, ExitCode.NO_WORKERS)
    assert "downpour and evaluation" in message
    assert bare.endpoints.broker in message
    assert "celery -A distbelief worker" in message


@pytest.mark.parametrize("which", [0, 1])
def test_a_server_that_runs_no_scripts(which: int, bare: LocalCluster, command: Start) -> None:
    url = all_urls(bare)[which]
    servers = Servers([url])
    servers.one("ACL", "SETUSER", "default", "-evalsha")
    try:
        training = command("train", endpoints=bare.endpoints)
        message = refused(training, ExitCode.SELF_TEST)
    finally:
        servers.one("ACL", "SETUSER", "default", "+evalsha")
        servers.close()
    assert f"{url} failed the script self-test" in message
    assert "evalsha" in message


@pytest.mark.parametrize("algorithm", ["downpour", "sandblaster"])
def test_a_server_that_computes_one_bit_differently(
    algorithm: str, bare: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind: type[MemoryShards]
    kind = MemoryParameterStore if algorithm == "downpour" else MemoryVectorStore
    fetch = kind.fetch

    def slipped(self: MemoryShards, *names: str, **words: Any) -> Fetched:
        """The twin's result with its last number one unit in the last place away."""
        fetched = fetch(self, *names, **words)
        if names in {(), ("vec:sum",)}:
            fetched.vector[-1] = np.nextafter(fetched.vector[-1], fetched.vector.dtype.type(np.inf))
        return fetched

    config = RunConfig(algorithm=algorithm)
    servers = Servers(bare.endpoints.parameter_servers)
    try:
        preflight.check_scripts(servers, config)
        monkeypatch.setattr(kind, "fetch", slipped)
        with pytest.raises(ScriptSelfTestFailed, match=f"computes {algorithm} differently"):
            preflight.check_scripts(servers, config)
        for index in range(len(servers)):
            assert servers.one("DBSIZE", server=index) == 0  # it leaves nothing behind
    finally:
        servers.close()


def test_a_worker_whose_operator_did_not_allow_a_model(
    shared: LocalCluster, command: Start
) -> None:
    training = command(
        "train",
        *("--model=usermodels:Own", "--model-option=rate=0.5", "--unit-attempts=2"),
        endpoints=shared.endpoints,
    )
    assert training.ends() == ExitCode.WORK_FAILED
    (message,) = re.findall(r"^error: .*$", training.err, re.MULTILINE)
    assert 'importing "usermodels" is not allowed' in message
    # The workers of this process may import what other tests have named.
    assert re.search(r"DISTBELIEF_ALLOWED_IMPORTS=(\S+,)?usermodels", message)
    assert "Traceback" not in training.err
