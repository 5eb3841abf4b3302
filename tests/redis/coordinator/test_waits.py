"""Whoever waits with a call is told for which server, and why."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import Queue

import pytest

from distbelief.app.client import servers as wire
from distbelief.app.client.commands import Command
from distbelief.app.client.servers import Servers
from distbelief.app.errors import ServerUnreachable
from distbelief.coordinator.runs import wait_reporter as waits
from distbelief.coordinator.runs.wait_reporter import WaitReporter
from tests.redis.private import PrivateServer, connected, free_port

#: As many words as the tests want to hear.
ENOUGH = 3
PATIENCE_S = 60.0


class HeardEnough(Exception):
    """Ends a call that would wait on."""


def heard(url: str, ask: Callable[[Servers], object]) -> list[tuple[str, float]]:
    """The first words while a call waits in vain."""
    said: list[tuple[str, float]] = []

    def listen(sentence: str, seconds: float) -> None:
        said.append((sentence, seconds))
        if len(said) == ENOUGH:
            raise HeardEnough

    servers = Servers([url], waiting=listen)
    with pytest.raises(HeardEnough):
        ask(servers)
    servers.close()
    return said


def test_a_wait_is_told_with_address_reason_and_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "WAIT_WORTH_SAYING_S", 0.1)
    port = free_port()
    said = heard(f"redis://:secret@127.0.0.1:{port}", lambda servers: servers.one("PING"))
    sentences, seconds = zip(*said, strict=True)
    assert set(sentences) == {f"redis://127.0.0.1:{port} gives no answer: Connection refused"}
    assert 0.1 < seconds[0] < seconds[1] < seconds[2]


def test_a_short_wait_is_not_worth_a_word() -> None:
    said: list[str] = []
    url = f"redis://127.0.0.1:{free_port()}"
    servers = Servers([url], deadline_s=0.3, waiting=lambda sentence, _: said.append(sentence))
    with pytest.raises(ServerUnreachable):
        servers.one("PING")
    assert said == []


def test_a_server_that_answers_but_not_yet_is_told_in_its_own_words(
    private: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "WAIT_WORTH_SAYING_S", 0.0)
    with connected(private.url) as servers:
        servers.one("REPLICAOF", "127.0.0.1", free_port())
    sentence, _ = heard(private.url, lambda servers: servers.one("SET", "key", "value"))[0]
    assert sentence.startswith(f"{private.url} is not ready: ")
    assert "read only replica" in sentence


def test_one_of_the_servers_alone_is_told_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "WAIT_WORTH_SAYING_S", 0.0)
    assert heard(f"redis://127.0.0.1:{free_port()}", lambda servers: servers.only(0).one("PING"))


def test_of_two_servers_in_trouble_each_is_named_with_its_own(private: PrivateServer) -> None:
    gone = f"redis://127.0.0.1:{free_port()}"
    with connected(private.url) as servers:
        servers.one("REPLICAOF", "127.0.0.1", free_port())
    with (
        connected(private.url, gone, deadline_s=0.1) as both,
        pytest.raises(ServerUnreachable, match=rf"^{gone} gave no .* 0\.1 s: Connection refused"),
    ):
        both.call([Command(0, ("SET", "key", "value")), Command(1, ("PING",))])


def test_a_call_to_a_frozen_server_can_be_seen_while_it_waits(
    private: PrivateServer, background: ThreadPoolExecutor
) -> None:
    with connected(private.url) as servers:
        assert servers.silent() == []
        with private.frozen():
            call = background.submit(servers.one, "PING")
            deadline = time.monotonic() + PATIENCE_S
            while not servers.silent():
                assert time.monotonic() < deadline
            ((what, seconds),) = servers.silent()
            assert what == f"{servers.addresses[0]} is silent"
            assert 0 <= seconds < PATIENCE_S
        assert call.result(PATIENCE_S) == b"PONG"
        assert servers.silent() == []


def test_a_silent_server_is_told_of_before_the_call_fails(
    private: PrivateServer, background: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waits, "LOOK_S", 0.01)
    monkeypatch.setattr(waits, "WAIT_WORTH_SAYING_S", 0.05)
    told: Queue[str] = Queue()
    with connected(private.url) as servers, WaitReporter(told.put).watching([servers]):
        with private.frozen():
            call = background.submit(servers.one, "PING")
            assert "is silent" in told.get(timeout=PATIENCE_S)
        assert call.result(PATIENCE_S) == b"PONG"
