"""A doctor in front of real servers, each with a fault of its own."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from distbelief.app.errors import ExitCode
from distbelief.app.layout.keys import CELERY_PREFIX
from distbelief.app.settings.config import ClusterConfig, RunConfig
from distbelief.app.store import native
from distbelief.coordinator.cluster import binaries
from distbelief.coordinator.cluster.binaries import ServerProgram
from distbelief.coordinator.doctor import examination
from distbelief.coordinator.doctor.findings import Finding, Severity, exit_code
from tests.redis.private import PrivateServer, connected, free_port
from tests.redis.programs import existing

PASSWORD = "open sesame"


@pytest.fixture(scope="module")
def program() -> ServerProgram:
    """One is enough: what differs between them is judged from facts."""
    return existing(binaries.bundled())


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("examination", "servers", "security", "clocks", "neighbours"):
        monkeypatch.setattr(f"distbelief.coordinator.doctor.{module}.PATIENCE_S", 0.5)
    monkeypatch.setattr("distbelief.coordinator.runs.messages.ANSWER_S", 0.1)


def examined(broker: str, *parameters: str, **cluster: Any) -> list[Finding]:
    cluster_config = ClusterConfig(
        broker=broker, parameter_servers=parameters or (broker,), **cluster
    )
    return examination.examine(RunConfig(), cluster_config, described=False)


def of(findings: list[Finding], word: str) -> list[Finding]:
    return [each for each in findings if word in each.what or word in each.todo]


@contextmanager
def server(program: ServerProgram, *options: str, password: str = "") -> Iterator[PrivateServer]:
    with PrivateServer(program, options=options, password=password) as started:
        yield started


def test_a_server_without_a_fault_has_none_but_no_workers(program: ServerProgram) -> None:
    with server(program, password=PASSWORD) as private:
        url = private.tcp_url.replace(PASSWORD, PASSWORD.replace(" ", "%20"))
        found = examined(url, engine="lua")
        bad = [each for each in found if each.severity is Severity.ERROR]
        assert [each.subject for each in bad] == ["workers"]
        assert exit_code(found) == ExitCode.NO_WORKERS
        assert not of(found, "could not be tried")
        assert of(found, "it needs a password")


def test_nothing_of_ours_is_left_on_a_server(private: PrivateServer) -> None:
    examined(private.url)
    with connected(private.url) as servers:
        keys = servers.one("KEYS", "*")
    assert [key for key in keys if not key.startswith(CELERY_PREFIX.encode())] == []


def test_an_open_server_on_every_address_is_an_error(program: ServerProgram) -> None:
    with server(program, "--bind", "*", "--protected-mode", "no") as private:
        found = examined(private.tcp_url)
    (bad,) = of(found, "can be reached beyond its machine")[:1]
    assert (bad.severity, bad.code) == (Severity.ERROR, ExitCode.AUTHENTICATION)
    assert "(*)" in bad.what
    assert exit_code(found) == ExitCode.AUTHENTICATION


def test_a_server_that_may_evict_is_an_error(program: ServerProgram) -> None:
    with server(program, "--maxmemory-policy", "allkeys-lru") as private:
        found = examined(private.url)
    assert exit_code(found) == ExitCode.EVICTION
    assert of(found, "allkeys-lru")


def test_a_wrong_password_is_an_error(program: ServerProgram) -> None:
    with server(program, password=PASSWORD) as private:
        wrong = f"redis://:sesame@127.0.0.1:{private.port}"
        found = examined(wrong)
    assert exit_code(found) == ExitCode.AUTHENTICATION
    assert {each.subject for each in found if each.severity is Severity.ERROR} == {
        f"control server redis://127.0.0.1:{private.port}",
        f"parameter server redis://127.0.0.1:{private.port}",
    }


def test_a_server_that_does_not_answer_is_an_error_and_the_others_are_looked_at(
    private: PrivateServer,
) -> None:
    nobody = f"redis://127.0.0.1:{free_port()}"
    found = examined(private.url, nobody, private.url)
    (bad,) = [each for each in found if each.code is ExitCode.UNREACHABLE]
    assert bad.subject == f"parameter server {nobody}"
    assert len([each for each in found if each.what == "lua engine"]) == 0
    assert len(of(found, "the module is not loaded")) == 1


def test_a_frozen_server_is_an_error(private: PrivateServer) -> None:
    with private.frozen():
        found = examined(private.url)
    assert exit_code(found) == ExitCode.UNREACHABLE


@pytest.mark.skipif(native.library() is None, reason="the native engine is not built")
def test_the_engine_is_named_and_why_it_is_not_the_native_one(program: ServerProgram) -> None:
    with server(program) as without, server(program, "--loadmodule", str(native.library())) as has:
        found = examined(without.url, without.url, has.url)
        assert [each.subject for each in of(found, "native engine") if each.todo] == [
            f"parameter server {without.url}"
        ]
        assert of(found, "native engine")[-1].severity is Severity.OK
        wanted = examined(without.url, without.url, engine="native")
    assert exit_code(wanted) == ExitCode.SERVER


def test_snapshots_and_little_memory_are_named(program: ServerProgram) -> None:
    with server(program, "--save", "3600 1", "--maxmemory", "2mb") as private:
        cluster_config = ClusterConfig(broker=private.url, parameter_servers=(private.url,))
        config = RunConfig(hidden=(4000,))
        found = examination.examine(config, cluster_config, described=True)
    assert of(found, "save 3600 1")
    (small,) = of(found, "the run needs about")
    assert (small.severity, small.code) == (Severity.ERROR, ExitCode.SERVER)


def test_others_on_a_server_are_seen_and_what_to_do_is_said(private: PrivateServer) -> None:
    with connected(private.url) as servers:
        servers.one("MSET", *(word for n in range(300) for word in (f"cart:{n}", "x")))
        servers.one("MSET", *(word for n in range(100) for word in (f"ps:{{r/{n}}}:meta", "x")))
        found = of(examined(private.url, engine="lua"), "on a shared Redis")
    (shared,) = found
    assert shared.severity is Severity.NOTE
    assert "some 300 of 40" in shared.what
    for word in ("a server of their own", "native engine", "call_ms = 10 ms"):
        assert word in shared.todo


def test_keys_and_connections_of_other_databases_are_those_of_others(
    private: PrivateServer,
) -> None:
    with connected(f"{private.url}?db=3") as elsewhere:
        elsewhere.one("SET", "ps:{like ours}", "x")
        (shared,) = of(examined(private.url, engine="lua"), "on a shared Redis")
        assert "some 1 of " in shared.what
        assert "1 connections of other users, or to other databases" in shared.what


def test_nobody_else_is_seen_where_nobody_is(private: PrivateServer) -> None:
    found = examined(private.url, engine="lua")
    assert of(found, "nobody else is seen there")
    assert not of(found, "on a shared Redis")


def test_a_server_that_is_no_redis_is_an_error(program: ServerProgram) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = examined(f"redis://127.0.0.1:{silent.getsockname()[1]}")
    assert exit_code(found) == ExitCode.UNREACHABLE
