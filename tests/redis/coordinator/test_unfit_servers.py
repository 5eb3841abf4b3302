"""Servers that are too old, parts of a cluster, or silent about themselves, before a training."""

from __future__ import annotations

import pytest

from distbelief.app.client.commands import Command
from distbelief.app.client.info import read_info
from distbelief.app.client.servers import Servers
from distbelief.app.errors import ExitCode, ServerError, ServerRefused
from distbelief.app.settings.config import ClusterConfig, RunConfig
from distbelief.coordinator.cluster import binaries
from distbelief.coordinator.cluster.binaries import ServerProgram
from distbelief.coordinator.doctor import examination, preflight, support
from distbelief.coordinator.doctor.findings import Severity
from tests.redis.private import PrivateServer, connected, free_port
from tests.redis.programs import existing

PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def program() -> ServerProgram:
    return existing(binaries.bundled())


def check(server: PrivateServer, *, parameters: bool) -> list[str]:
    """What is said of a server before a training."""
    said: list[str] = []
    with connected(server.url) as servers:
        preflight.check_servers(servers, PATIENCE_S, said.append, parameters=parameters)
    return said


def cluster() -> tuple[str, ...]:
    """Options of a server that runs in cluster mode."""
    return ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))


@pytest.mark.parametrize("parameters", [False, True])
def test_a_server_that_is_as_it_should_be_is_not_worth_a_word(
    private: PrivateServer, parameters: bool
) -> None:
    assert check(private, parameters=parameters) == []


@pytest.mark.parametrize("parameters", [False, True])
@pytest.mark.parametrize("told", [{"redis_version": "6.2.14"}, {"redis_version": "6.0.9"}])
def test_an_old_server_is_refused_whatever_the_algorithm(
    private: PrivateServer,
    monkeypatch: pytest.MonkeyPatch,
    told: dict[str, str],
    parameters: bool,
) -> None:
    monkeypatch.setattr(support, "read_info", lambda *_, **__: told)
    version = told["redis_version"]
    with pytest.raises(ServerError) as refused:
        check(private, parameters=parameters)
    assert str(refused.value) == (
        f"{private.url} cannot be used, it is Redis {version}, older than 7.0: "
        "use Redis 7.0 or Valkey 7.2 or newer"
    )
    assert refused.value.exit_code == ExitCode.SERVER


def test_a_server_that_tells_no_version_is_tried(
    private: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(support, "read_info", lambda *_, **__: {"redis_version": "unstable"})
    assert check(private, parameters=True) == []


@pytest.mark.parametrize("parameters", [False, True])
def test_a_user_without_the_right_to_ask_is_told_and_let_through(
    private: PrivateServer, parameters: bool
) -> None:
    with connected(private.url) as servers:
        servers.one("ACL", "SETUSER", "default", "-info")
        assert read_info(servers) is None
    (said,) = check(private, parameters=parameters)
    assert said.startswith(f"{private.url} does not let us ask INFO: ")


def test_the_doctor_looks_at_all_else_of_such_a_server(private: PrivateServer) -> None:
    with connected(private.url) as servers:
        servers.one("ACL", "SETUSER", "default", "-info")
    settings = ClusterConfig(broker=private.url, parameter_servers=(private.url,))
    found = examination.examine(RunConfig(), settings, described=False)
    about = [each for each in found if "INFO" in each.what]
    assert [each.severity for each in about] == [Severity.WARNING] * 2
    assert any("computes what it should" in each.what for each in found)


def test_a_control_server_in_a_cluster_is_named_as_one(program: ServerProgram) -> None:
    with (
        PrivateServer(program, options=cluster()) as server,
        pytest.raises(ServerError, match=r"cluster mode, and is not named so: .*cluster://"),
    ):
        check(server, parameters=False)


def test_a_parameter_server_may_be_a_whole_cluster_but_no_part_of_one(
    program: ServerProgram,
) -> None:
    with PrivateServer(program, options=cluster()) as server:
        with pytest.raises(ServerError, match=r"in a cluster of 0 shards, .*cluster://"):
            check(server, parameters=True)
        with connected(server.url) as servers:
            servers.one("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
            _until_whole(servers)
            assert check(server, parameters=True) == []
            with pytest.raises(ServerRefused, match=r"node of a cluster .*cluster://"):
                servers.call([Command(0, ("MGET", "a", "b"))])


def _until_whole(servers: Servers) -> None:
    """A cluster says that it is down for a moment; calls wait for it."""
    servers.one("SET", "a", "1", timeout_s=PATIENCE_S)
