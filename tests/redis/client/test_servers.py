"""The wire under everything that servers, networks and passwords can do to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import pytest
import redis

from distbelief.app.client import servers as wire
from distbelief.app.client.commands import Command
from distbelief.app.client.scripts import Script
from distbelief.app.client.servers import Servers
from distbelief.app.errors import (
    AuthenticationFailed,
    ModelMissing,
    ServerRefused,
    ServerUnreachable,
)
from distbelief.app.layout.keys import control, shard
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.optimizers.rules.sgd import SGD
from distbelief.app.store.contract.parameters import Answer, ShardCounts, Token
from distbelief.app.store.redis.parameters import RedisParameterStore
from distbelief.coordinator.cluster.binaries import ServerProgram
from tests.redis.client.proxy import losing_a_reply
from tests.redis.private import PrivateServer, connected, free_port

RUN = "run"
LAYOUT = Layout((TensorSpec("w", (40,)),), block_numbers=10, n_shards=2, n_servers=1)
TOKEN = Token(fence=1, stream=0, attempt=1)
ONES = np.ones(40)
APPLIED = (Answer.APPLIED,) * 2
PATIENCE_S = 60.0

T = TypeVar("T")


@pytest.fixture
def clients(private: PrivateServer) -> Iterator[Servers]:
    with connected(private.url) as servers:
        yield servers


@pytest.fixture
def store(clients: Servers) -> RedisParameterStore:
    store = RedisParameterStore(clients, RUN, LAYOUT, SGD(1.0), fence=TOKEN.fence)
    store.create(np.zeros(40))
    return store


def still_waiting(future: Future[T]) -> Future[T]:
    with pytest.raises(TimeoutError):
        future.result(timeout=0.2)
    return future


# --- many commands, many servers, many threads


def test_replies_keep_their_order_over_servers(servers: Servers) -> None:
    commands = [Command(i * 7 % 3 % 2, ("ECHO", f"{i}")) for i in range(100)]
    assert servers.call(commands) == [f"{i}".encode() for i in range(100)]


def test_commands_for_one_server_run_in_their_order(servers: Servers, run_id: str) -> None:
    key = control(run_id, "list")
    servers.call([Command(1, ("RPUSH", key, i)) for i in range(50)])
    stored = servers.one("LRANGE", key, 0, -1, server=1)
    assert stored == [f"{i}".encode() for i in range(50)]


def test_threads_get_their_own_replies(servers: Servers, background: ThreadPoolExecutor) -> None:
    def ask(thread: int) -> None:
        for i in range(100):
            words = [f"{thread}-{i}-{j}" for j in range(4)]
            replies = servers.call([Command(j % 2, ("ECHO", w)) for j, w in enumerate(words)])
            assert [reply.decode() for reply in replies] == words

    list(background.map(ask, range(8), timeout=PATIENCE_S))


def test_one_of_the_servers_can_be_taken_alone(servers: Servers, run_id: str) -> None:
    key = control(run_id, "text")
    servers.one("SET", key, "here", server=1)
    assert servers.only(1).one("GET", key) == b"here"
    assert servers.only(1).addresses == servers.addresses[1:]
    assert servers.only(0).one("GET", key) is None


# --- scripts


def test_a_script_flush_in_the_middle_of_a_run_is_not_noticed(
    store: RedisParameterStore, clients: Servers
) -> None:
    for sequence in (1, 2, 3):
        clients.one("SCRIPT", "FLUSH")
        assert store.push(TOKEN, sequence, ONES).answers == APPLIED
    assert store.fetch().vector.tolist() == [-3.0] * 40


def test_scripts_that_a_server_lacks_are_loaded_in_the_middle_of_a_batch(
    servers: Servers, run_id: str
) -> None:
    scripts = [Script(f"s{i}", f"return '{run_id} {i}'") for i in range(3)]
    commands = [
        command
        for i in range(6)
        for command in (
            Command(i % 2, ("ECHO", f"echo {i}")),
            Command.call(i % 2, scripts[i % 3], (), ()),
        )
    ]
    expected = [text for i in range(6) for text in (f"echo {i}", f"{run_id} {i % 3}")]
    assert [reply.decode() for reply in servers.call(commands)] == expected


# --- servers that go away


def test_a_call_waits_for_a_server_that_comes_back(
    private: PrivateServer, clients: Servers, background: ThreadPoolExecutor
) -> None:
    assert clients.one("PING") == b"PONG"
    private.kill()
    answer = still_waiting(background.submit(clients.one, "PING"))
    private.start()
    assert answer.result(PATIENCE_S) == b"PONG"


def test_a_server_that_came_back_empty_does_not_know_the_run(
    private: PrivateServer, store: RedisParameterStore
) -> None:
    private.kill()
    private.start()
    with pytest.raises(ModelMissing):
        store.push(TOKEN, 1, ONES)


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    port, began = free_port(), time.monotonic()
    with (
        connected(f"redis://user:secret@127.0.0.1:{port}/0", deadline_s=0.3) as servers,
        pytest.raises(
            ServerUnreachable, match=rf"redis://127\.0\.0\.1:{port}/0 gave no answer within 0\.3 s"
        ) as raised,
    ):
        servers.one("PING")
    assert time.monotonic() - began < 5
    assert "secret" not in str(raised.value)


def test_a_call_may_have_a_deadline_of_its_own(private: PrivateServer, clients: Servers) -> None:
    private.kill()
    with pytest.raises(ServerUnreachable, match=r"within 0\.1 s"):
        clients.one("PING", timeout_s=0.1)


def test_a_frozen_server_is_given_up_after_the_deadline(
    private: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "SOCKET_TIMEOUT_S", 0.2)
    with connected(private.url, deadline_s=0.3) as servers:
        assert servers.one("PING") == b"PONG"
        with private.frozen(), pytest.raises(ServerUnreachable):
            servers.one("PING")
        assert servers.one("ECHO", "again") == b"again"


def test_answers_that_came_stay_when_another_server_is_asked_again(
    private: PrivateServer, servers: Servers, background: ThreadPoolExecutor, run_id: str
) -> None:
    key, path = control(run_id, "count"), servers.addresses[0]
    private.kill()
    with connected(path, private.url) as both:
        commands = [Command(0, ("INCR", key)), Command(1, ("PING",))]
        answer = still_waiting(background.submit(both.call, commands))
        private.start()
        assert answer.result(PATIENCE_S) == [1, b"PONG"]


def test_a_push_whose_reply_was_lost_is_sent_again_and_counted_once(
    private: PrivateServer, store: RedisParameterStore
) -> None:
    store.push(TOKEN, 1, ONES)
    with (
        losing_a_reply(private.socket, b"EVALSHA") as proxy,
        connected(proxy.url) as servers,
    ):
        lossy = RedisParameterStore(servers, RUN, LAYOUT, SGD(1.0), fence=TOKEN.fence)
        assert lossy.push(TOKEN, 2, ONES).answers == (Answer.DUPLICATE,) * 2
        assert proxy.lost == 1
    assert store.counts() == [ShardCounts(applied=2, refused=0)] * 2
    assert store.fetch().vector.tolist() == [-2.0] * 40


# --- passwords


@pytest.fixture
def guarded(program: ServerProgram) -> Iterator[PrivateServer]:
    with PrivateServer(program, password="secret") as server:
        yield server


@pytest.mark.parametrize("kind", ["tcp_url", "url"])
def test_the_right_password_lets_in(guarded: PrivateServer, kind: str) -> None:
    with connected(getattr(guarded, kind)) as servers:
        assert servers.one("PING") == b"PONG"


@pytest.mark.parametrize("kind", ["tcp_url", "url"])
def test_a_wrong_password_is_refused_at_once_and_not_shown(
    guarded: PrivateServer, kind: str
) -> None:
    url, began = getattr(guarded, kind), time.monotonic()
    with (
        connected(url.replace("secret", "guess")) as servers,
        pytest.raises(AuthenticationFailed, match="refused the user name or password") as raised,
    ):
        servers.one("PING")
    assert time.monotonic() - began < 5
    assert servers.addresses[0] in str(raised.value)
    assert "guess" not in str(raised.value)


@pytest.mark.parametrize("kind", ["tcp_url", "url"])
def test_a_missing_password_is_asked_for(guarded: PrivateServer, kind: str) -> None:
    url = getattr(guarded, kind).replace(":secret@", "")
    with connected(url) as servers, pytest.raises(AuthenticationFailed, match="needs a password"):
        servers.one("PING")


def test_a_refused_password_leaves_the_other_servers_usable(
    guarded: PrivateServer, servers: Servers
) -> None:
    with connected(servers.addresses[0], guarded.url.replace("secret", "guess")) as both:
        for i in range(3):
            with pytest.raises(AuthenticationFailed):
                both.call([Command(0, ("ECHO", f"lost {i}")), Command(1, ("PING",))])
            assert both.one("ECHO", f"kept {i}") == f"kept {i}".encode()


# --- servers that refuse


def test_a_key_of_another_type_is_refused(store: RedisParameterStore, clients: Servers) -> None:
    clients.one("SET", shard(RUN, 1, "meta"), "no hash")
    with pytest.raises(ServerRefused, match="WRONGTYPE"):
        store.push(TOKEN, 1, ONES)


def test_a_refusal_in_the_middle_of_a_batch_leaves_the_connection_usable(
    servers: Servers, run_id: str
) -> None:
    key = control(run_id, "text")
    batch = [("SET", key, "a"), ("LPUSH", key, "b"), ("GET", key), ("NO-SUCH-COMMAND",)]
    for i in range(3):
        with pytest.raises(ServerRefused, match="WRONGTYPE"):
            servers.call([Command(0, words) for words in batch])
        assert servers.one("ECHO", f"{i}") == f"{i}".encode()


def test_a_refusal_of_one_server_leaves_no_reply_of_another_behind(
    servers: Servers, run_id: str
) -> None:
    slow = ("BLPOP", control(run_id, "nothing"), "0.1")
    for i in range(3):
        with pytest.raises(ServerRefused):
            servers.call([Command(0, ("NO-SUCH-COMMAND",)), Command(1, slow)])
        assert servers.one("ECHO", f"{i}", server=1) == f"{i}".encode()


# --- servers that refuse for a while


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_busy_server_is_asked_again(
    private: PrivateServer, clients: Servers, background: ThreadPoolExecutor
) -> None:
    clients.one("CONFIG", "SET", "busy-reply-threshold", "1")
    with connected(private.url) as other:
        endless = background.submit(other.one, "EVAL", "while true do end", 0)
        with redis.Redis(unix_socket_path=str(private.socket)) as plain:

            def is_busy() -> bool:
                try:
                    return not plain.ping()
                except redis.ResponseError as error:
                    return "BUSY" in str(error)

            wait_until(is_busy)
            answer = still_waiting(background.submit(clients.one, "ECHO", "at last"))
            plain.script_kill()
        assert answer.result(PATIENCE_S) == b"at last"
        assert isinstance(endless.exception(PATIENCE_S), ServerRefused)


def test_a_read_only_replica_is_asked_again_until_it_is_promoted(
    store: RedisParameterStore, clients: Servers, background: ThreadPoolExecutor
) -> None:
    clients.one("REPLICAOF", "127.0.0.1", free_port())
    pushed = still_waiting(background.submit(store.push, TOKEN, 1, ONES))
    clients.one("REPLICAOF", "NO", "ONE")
    assert pushed.result(PATIENCE_S).answers == APPLIED
