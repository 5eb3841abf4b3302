"""Whole vectors are written in pieces: any link carries them, and no part is taken for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from distbelief.app.client import servers as wire
from distbelief.app.client.commands import Command, Reply
from distbelief.app.client.servers import Servers
from distbelief.app.errors import Fenced, ModelMissing
from distbelief.app.layout.keys import BEST, PARAMETERS, named, slot
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.rows import TableRows
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.optimizers.rules.adagrad import Adagrad
from distbelief.app.store.contract.parameters import ShardState, Token
from distbelief.app.store.redis import calls
from distbelief.app.store.redis.parameters import RedisParameterStore
from distbelief.app.store.redis.vectors import RedisVectorStore
from distbelief.app.store.redis.writing import PIECE_BYTES, Piece, cut
from distbelief.coordinator.cluster.binaries import ServerProgram
from tests.redis.client.faulty_proxy import faulty
from tests.redis.client.proxy import slow_link
from tests.redis.private import PrivateServer, connected, contents

RUN = "run"
DENSE = Layout((TensorSpec("w", (40,)),), block_numbers=4, n_shards=2, n_servers=1)
TABLED = Layout.plan(
    [TensorSpec("w", (40,)), TensorSpec("t", (200, 3), True, spread=0.1, sparse=True)],
    n_servers=1,
    n_shards=2,
    block_numbers=4,
    table_numbers=1,
)
RULE = Adagrad(0.5)
#: A block or two of parameters and sums.
SMALL = 40
RATES = np.random.default_rng(0)
FIRST, SUMS = RATES.normal(size=40), RATES.uniform(1, 2, size=40)
ROWS = TableRows(np.arange(0, 200, 7), RATES.normal(size=(29, 3)))
STATE = ShardState(applied=3, refused=1, sequences={0: 4})


def store(servers: Servers, layout: Layout = DENSE, **words: Any) -> RedisParameterStore:
    words = {"fence": 1, "piece_bytes": SMALL} | words
    return RedisParameterStore(servers, RUN, layout, RULE, **words)


def tables(layout: Layout) -> dict[str, tuple[TableRows, ...]]:
    return dict.fromkeys((PARAMETERS, slot("adagrad")), (ROWS,) if layout.tables else ())


def create(store: RedisParameterStore, first: Any = FIRST) -> bool:
    return store.create(first, {"adagrad": SUMS}, tables(store.layout))


def restore(store: RedisParameterStore) -> None:
    shards = dict.fromkeys(range(store.layout.n_shards), STATE)
    store.restore(shards, {PARAMETERS: FIRST, slot("adagrad"): SUMS}, tables(store.layout))


def put(store: RedisParameterStore) -> None:
    create(store)
    store.put(BEST, FIRST, tables(store.layout)[PARAMETERS])


WRITES: tuple[Callable[[RedisParameterStore], object], ...] = (create, restore, put)


class Interrupted(Exception):
    """A coordinator that ends in the middle."""


class Calls:
    """Counts the calls of ``servers``, and does something before one of them."""

    def __init__(self, servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
        self._call, self.before = servers.call, dict[int, Callable[[], object]]()
        self.made = 0
        monkeypatch.setattr(calls, "WINDOW_BYTES", 1)  # a piece in each call
        monkeypatch.setattr(servers, "call", self)

    def __call__(self, commands: Sequence[Command], **words: Any) -> list[Reply]:
        self.made += 1
        self.before.pop(self.made, lambda: None)()
        return self._call(commands, **words)


@pytest.fixture
def clients(private: PrivateServer) -> Any:
    with connected(private.url) as servers:
        yield servers


def stop() -> None:
    raise Interrupted


# --- the same as at once


@pytest.mark.parametrize("layout", [DENSE, TABLED], ids=["dense", "tables"])
@pytest.mark.parametrize("write", WRITES)
def test_what_was_written_in_pieces_is_what_is_written_at_once(
    clients: Servers, layout: Layout, write: Callable[[RedisParameterStore], object]
) -> None:
    write(store(clients, layout, piece_bytes=PIECE_BYTES))
    whole = contents(clients)
    clients.one("FLUSHALL")
    write(store(clients, layout))
    assert contents(clients) == whole


def test_what_is_small_is_one_call(clients: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Calls(clients, monkeypatch)
    monkeypatch.undo()
    monkeypatch.setattr(clients, "call", counted)
    assert create(store(clients, piece_bytes=PIECE_BYTES))
    assert counted.made == 1


def test_blocks_are_cut_where_the_bytes_end() -> None:
    vectors = [memoryview(bytes(range(10))), memoryview(bytes(range(10, 20)))]
    pieces = cut([5, 6, 7, 8], [1, 2, 1, 1], vectors, 2, 8)
    assert pieces == [
        Piece("5", "1", (vectors[0][:2], vectors[1][:2]), 0, True),
        Piece("6", "2", (vectors[0][2:6], vectors[1][2:6]), 1, True),
        Piece("7,8", "1,1", (vectors[0][6:], vectors[1][6:]), 2, False),
    ]


# --- ends in the middle


@pytest.mark.parametrize("layout", [DENSE, TABLED], ids=["dense", "tables"])
def test_a_half_written_model_is_not_taken_for_a_whole_one(
    clients: Servers, monkeypatch: pytest.MonkeyPatch, layout: Layout
) -> None:
    whole = Calls(clients, monkeypatch)
    create(store(clients, layout))
    for end in range(1, whole.made + 1):
        clients.one("FLUSHALL")
        writer = store(clients, layout)
        counted = Calls(clients, monkeypatch)
        counted.before[end] = stop
        with pytest.raises(Interrupted):
            create(writer, np.zeros(40))
        assert None in writer.shard_states()
        with pytest.raises(ModelMissing):
            writer.fetch()
        with pytest.raises(ModelMissing):
            writer.announce(Token(1, 0, 1))
        create(writer)
        assert None not in writer.shard_states()
        assert len(set(writer.fetch().vector) - set(FIRST.astype(np.float32))) <= 20  # whole shards


def test_a_restoration_that_ended_in_the_middle_leaves_what_was_there_or_the_new(
    clients: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = store(clients)
    create(writer, np.zeros(40))
    counted = Calls(clients, monkeypatch)
    counted.before[5] = stop
    with pytest.raises(Interrupted):
        restore(writer)
    for shard, state in enumerate(writer.shard_states()):
        part = writer.fetch().vector[DENSE.shard_slice(shard)]
        new = FIRST.astype(np.float32)[DENSE.shard_slice(shard)]
        assert part.tolist() == (new if state == STATE else np.zeros(20)).tolist()
    restore(writer)
    assert writer.shard_states() == [STATE] * 2


def test_pieces_that_a_server_lost_are_written_again(
    clients: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Calls(clients, monkeypatch)
    counted.before[4] = lambda: clients.one("FLUSHALL")
    writer = store(clients)
    create(writer)
    assert writer.fetch().vector.tolist() == FIRST.astype(np.float32).tolist()


def test_a_server_that_loses_one_piece_after_another_has_lost_its_data(
    clients: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Calls(clients, monkeypatch)
    counted.before = dict.fromkeys(range(2, 200, 2), lambda: clients.one("FLUSHALL"))
    with pytest.raises(ModelMissing):
        restore(store(clients))


# --- two who write


def test_pieces_of_an_older_coordinator_are_refused(
    clients: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = store(clients), store(clients, fence=2)
    counted = Calls(clients, monkeypatch)
    counted.before[3] = lambda: restore(new)
    with pytest.raises(Fenced):
        restore(old)
    assert new.shard_states() == [STATE] * 2
    assert new.fetch().vector.tolist() == FIRST.astype(np.float32).tolist()


def test_who_writes_first_wins(clients: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = store(clients), store(clients)
    counted = Calls(clients, monkeypatch)
    counted.before[3] = lambda: create(other)
    assert not create(one, np.zeros(40))
    assert one.fetch().vector.tolist() == FIRST.astype(np.float32).tolist()


# --- networks


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("write", WRITES)
def test_a_network_that_loses_cuts_and_repeats_leaves_the_same(
    private: PrivateServer,
    write: Callable[[RedisParameterStore], object],
    seed: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wire, "SOCKET_TIMEOUT_S", 0.3)
    monkeypatch.setattr(calls, "WINDOW_BYTES", 2 * SMALL)
    with connected(private.url) as direct:
        write(store(direct))
        whole = contents(direct)
        direct.one("FLUSHALL")
        with (
            faulty(private.socket, rate=0.1, seed=seed) as proxy,
            connected(proxy.url, deadline_s=30.0) as servers,
        ):
            write(store(servers))
        found = contents(direct)
    # A piece that arrives after its vector is whole may wait there for ever.
    assert {key: value for key, value in found.items() if b":waiting:" not in key} == whole


#: A timeout carries eight megabytes, as ten seconds do on a link of some 7 Mbit/s.
TIMEOUT_S, RATE = 1.0, 8e6


@pytest.fixture
def slow(program: ServerProgram, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(wire, "SOCKET_TIMEOUT_S", TIMEOUT_S)
    with (
        PrivateServer(program) as server,
        slow_link(server.socket, RATE) as link,
        connected(link.url, deadline_s=3 * TIMEOUT_S) as servers,
    ):
        yield servers


def test_a_large_model_with_slots_is_written_on_a_slow_link(slow: Servers) -> None:
    layout = Layout.plan([TensorSpec("w", (2_000_000,))], n_servers=1)
    writer = RedisParameterStore(slow, RUN, layout, RULE, fence=1)
    assert writer.create(np.ones(layout.size))
    assert None not in writer.shard_states()


def test_one_large_shard_is_restored_on_a_slow_link(slow: Servers) -> None:
    layout = Layout.plan([TensorSpec("w", (1_000_000,))], n_servers=1, n_shards=1)
    writer = RedisVectorStore(slow, RUN, layout, fence=1)
    names = (PARAMETERS, named("s0"), named("y0"))
    writer.restore({0: ShardState()}, {name: np.ones(layout.size) for name in names})
    assert writer.shard_states(*names[1:]) == [ShardState()]


def test_a_large_table_is_restored_on_a_slow_link(slow: Servers) -> None:
    layout = Layout.plan(
        [TensorSpec("t", (100_000, 32), True, spread=0.1, sparse=True)],
        n_servers=1,
        table_numbers=1,
    )
    rows = TableRows(np.arange(100_000), np.ones((100_000, 32)))
    writer = RedisParameterStore(slow, RUN, layout, RULE, fence=1)
    shards = dict.fromkeys(range(layout.n_shards), STATE)
    empty = np.zeros(layout.size)
    vectors = {PARAMETERS: empty, slot("adagrad"): empty}
    writer.restore(shards, vectors, dict.fromkeys(vectors, (rows,)))
    assert writer.shard_states() == [STATE] * layout.n_shards


def test_a_large_push_goes_through_on_a_slow_link(slow: Servers) -> None:
    layout = Layout.plan([TensorSpec("w", (3_000_000,))], n_servers=1)
    writer = RedisParameterStore(slow, RUN, layout, RULE, fence=1)
    writer.create(np.ones(layout.size))
    token = Token(1, 0, 1)
    assert set(writer.push(token, 1, np.ones(layout.size)).answers) == {"APPLIED"}
