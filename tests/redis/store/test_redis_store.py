"""What only the store on servers can meet: other layouts, lost shards, many clients at once."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import numpy as np
import pytest

from distbelief.app.client import scan
from distbelief.app.client.commands import Command
from distbelief.app.client.servers import Servers
from distbelief.app.errors import LayoutError, ModelMissing, ShardBehind
from distbelief.app.layout.keys import PARAMETERS, named, shard, slot
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.optimizers.rules.adagrad import Adagrad
from distbelief.app.optimizers.rules.sgd import SGD
from distbelief.app.store.contract.parameters import Answer, ShardCounts, ShardState, Token
from distbelief.app.store.memory.parameters import MemoryParameterStore
from distbelief.app.store.redis.parameters import RedisParameterStore
from distbelief.app.store.redis.shards import RENAME
from distbelief.worker_tasks.server_meter import ServerMeter

TENSORS = (TensorSpec("w", (40,)),)
LAYOUT = Layout(TENSORS, block_numbers=4, n_shards=4, n_servers=2)
TOKEN = Token(fence=1, stream=0, attempt=1)
ONES = np.ones(40)
DEADLINE_S = 60.0


@pytest.fixture
def store(servers: Servers, run_id: str) -> RedisParameterStore:
    store = RedisParameterStore(servers, run_id, LAYOUT, SGD(1.0), fence=TOKEN.fence)
    store.create(np.zeros(40))
    return store


def forget(servers: Servers, run_id: str, index: int) -> None:
    """Take a shard away, as a server does that lost its data."""
    keys = [shard(run_id, index, what) for what in ("meta", PARAMETERS)]
    assert servers.one("DEL", *keys, server=LAYOUT.server(index)) == 2


@pytest.mark.parametrize(
    "other",
    [
        Layout(TENSORS, block_numbers=5, n_shards=4, n_servers=2),
        Layout((TensorSpec("v", (40,)),), block_numbers=4, n_shards=4, n_servers=2),
    ],
    ids=["blocks", "names"],
)
def test_a_run_cannot_be_created_again_with_another_layout(
    store: RedisParameterStore, servers: Servers, run_id: str, other: Layout
) -> None:
    with pytest.raises(LayoutError, match=f"run {run_id} is there already with another layout"):
        RedisParameterStore(servers, run_id, other, SGD(1.0), fence=1).create(ONES)
    assert store.fetch().vector.tolist() == [0.0] * 40


def test_a_layout_for_other_servers_is_refused(servers: Servers) -> None:
    layout = Layout(TENSORS, block_numbers=4, n_shards=3, n_servers=3)
    with pytest.raises(LayoutError, match="lie on 3 servers, 2 were given"):
        RedisParameterStore(servers, "unused", layout, SGD(1.0), fence=1)


def test_shards_lie_on_the_servers_of_the_layout(
    store: RedisParameterStore, servers: Servers, run_id: str
) -> None:
    for index in range(LAYOUT.n_shards):
        key = shard(run_id, index, PARAMETERS)
        found = [servers.one("EXISTS", key, server=server) for server in (0, 1)]
        assert found.index(1) == LAYOUT.server(index)
        assert sum(found) == 1


def test_a_block_is_packed_in_little_endian(
    store: RedisParameterStore, servers: Servers, run_id: str
) -> None:
    store.push(TOKEN, 1, np.arange(40.0))
    stored = servers.one("HGET", shard(run_id, 0, PARAMETERS), "1")
    assert stored == np.array([-4, -5, -6, -7], dtype="<f4").tobytes()


def test_a_lost_shard_is_missing_and_the_others_keep_their_push(
    store: RedisParameterStore, servers: Servers, run_id: str
) -> None:
    forget(servers, run_id, 1)
    with pytest.raises(ModelMissing, match="shard 1 does not know this run"):
        store.push(TOKEN, 1, ONES)
    store.create(np.zeros(40))
    assert store.counts() == [ShardCounts(int(index != 1), 0) for index in range(4)]


def test_a_run_that_was_half_created_is_completed_and_not_reset(
    store: RedisParameterStore, servers: Servers, run_id: str
) -> None:
    store.push(TOKEN, 1, ONES)
    forget(servers, run_id, 2)
    assert not store.create(np.full(40, 7.0))
    vector = store.fetch().vector
    assert set(vector[LAYOUT.shard_slice(2)]) == {7.0}
    assert set(np.delete(vector, LAYOUT.shard_slice(2))) == {-1.0}


def test_a_shard_that_lost_its_tail_takes_a_replay_that_others_call_a_duplicate(
    store: RedisParameterStore, servers: Servers, run_id: str
) -> None:
    store.push(TOKEN, 1, ONES)
    forget(servers, run_id, 3)
    store.create(np.zeros(40))
    with pytest.raises(ShardBehind, match="shard 3 stands at sequence 0"):
        store.push(TOKEN, 2, ONES)
    assert store.announce(TOKEN).sequences.tolist() == [2, 2, 2, 0]
    duplicate, applied = Answer.DUPLICATE, Answer.APPLIED
    for sequence in (1, 2):
        replayed = store.push(TOKEN, sequence, ONES)
        assert replayed.answers == (duplicate, duplicate, duplicate, applied)
    assert store.fetch().vector.tolist() == [-2.0] * 40


def test_pushes_of_many_clients_are_each_counted_once(store: RedisParameterStore) -> None:
    def work(stream: int) -> None:
        for sequence in range(1, 21):
            store.push(Token(1, stream, 1), sequence, ONES)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
    assert store.counts() == [ShardCounts(applied=80, refused=0)] * 4
    assert store.fetch().vector.tolist() == [-80.0] * 40


@pytest.mark.parametrize(("size", "block_numbers"), [(4500, 1), (20_000, 9000)])
def test_very_many_and_very_long_blocks_fit_through_the_scripts(
    servers: Servers, run_id: str, size: int, block_numbers: int
) -> None:
    layout = Layout((TensorSpec("w", (size,)),), block_numbers, n_shards=1, n_servers=2)
    rule = Adagrad(0.1, decay=0.01)
    random = np.random.default_rng(0)
    values, gradient = random.normal(size=(2, size))
    stores = (
        RedisParameterStore(servers, run_id, layout, rule, fence=TOKEN.fence),
        MemoryParameterStore(layout, rule, fence=TOKEN.fence),
    )
    for store in stores:
        store.create(values)
        store.push(TOKEN, 1, gradient)
    for name in (PARAMETERS, slot("adagrad")):
        ours, twin = (store.fetch(name).vector for store in stores)
        assert ours.tobytes() == twin.tobytes()


def test_a_frozen_copy_and_its_standing_are_of_one_moment_of_each_shard(
    store: RedisParameterStore,
) -> None:
    enough = threading.Event()
    seen: set[int] = set()

    def push_on() -> None:
        sequences = count(1)
        while not enough.is_set():
            store.push(TOKEN, next(sequences), ONES)

    with ThreadPoolExecutor(1) as threads:
        pushing = threads.submit(push_on)
        try:
            deadline = time.monotonic() + DEADLINE_S
            while len(seen) < 20:
                assert time.monotonic() < deadline
                shard_states = store.freeze({PARAMETERS: named("copy")})
                copied = store.fetch(named("copy")).vector
                for index, shard_state in enumerate(shard_states):
                    assert set(copied[LAYOUT.shard_slice(index)]) == {-shard_state.applied}
                    assert shard_state.sequences.get(0, 0) == shard_state.applied
                    seen.add(shard_state.applied)
        finally:
            enough.set()
        pushing.result(DEADLINE_S)


def test_a_shard_of_another_layout_stands_nowhere(
    store: RedisParameterStore, servers: Servers, run_id: str
) -> None:
    for other in (
        Layout(TENSORS, block_numbers=5, n_shards=4, n_servers=2),
        Layout((TensorSpec("v", (40,)),), block_numbers=4, n_shards=4, n_servers=2),
    ):
        stranger = RedisParameterStore(servers, run_id, other, SGD(1.0), fence=TOKEN.fence)
        assert stranger.shard_states() == [None] * 4
    assert store.shard_states() == [ShardState()] * 4


@pytest.mark.parametrize("left", ["no blocks", "a block too few"])
def test_a_shard_that_lost_blocks_but_not_its_meta_stands_nowhere(
    store: RedisParameterStore, servers: Servers, run_id: str, left: str
) -> None:
    key, server = shard(run_id, 2, PARAMETERS), LAYOUT.server(2)
    if left == "no blocks":
        servers.one("DEL", key, server=server)
    else:
        assert servers.one("HDEL", key, LAYOUT.blocks(2)[0], server=server) == 1
    assert store.shard_states() == [ShardState(), ShardState(), None, ShardState()]


def test_vectors_are_found_among_many_keys_and_runs(
    store: RedisParameterStore,
    servers: Servers,
    run_id: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scan, "STEP", 2)
    theirs = f"{run_id}-and-more"
    other = RedisParameterStore(servers, theirs, LAYOUT, SGD(1.0), fence=TOKEN.fence)
    other.create(ONES)
    names = {named(f"s{number}") for number in range(40)}
    for name in names:
        store.copy(PARAMETERS, name)
    other.copy(PARAMETERS, named("theirs"))
    assert store.named_vectors() == names
    store.drop(*names)
    assert store.named_vectors() == set()
    assert other.named_vectors() == {named("theirs")}


def test_a_shard_is_restored_on_a_server_that_came_back_empty(
    store: RedisParameterStore, servers: Servers, run_id: str
) -> None:
    """Nothing but what was restored is there, under the keys that a new run has."""
    before = set(servers.one("KEYS", f"ps:{{{run_id}/1}}:*", server=LAYOUT.server(1)))
    store.push(TOKEN, 1, ONES)
    frozen, shard_states = store.fetch().vector, store.freeze({})
    forget(servers, run_id, 1)
    store.restore({1: shard_states[1]}, {PARAMETERS: frozen})
    assert set(servers.one("KEYS", f"ps:{{{run_id}/1}}:*", server=LAYOUT.server(1))) == before
    assert store.push(TOKEN, 2, ONES).answers == (Answer.APPLIED,) * 4


def test_a_client_counts_the_bytes_that_its_servers_see(servers: Servers, run_id: str) -> None:
    """To some percent: what stands around the values of replies is not counted."""
    tensors = (TensorSpec("w", (20_000,)),)
    layout = Layout(tensors, block_numbers=5_000, n_shards=2, n_servers=2)
    large = RedisParameterStore(servers, f"{run_id}-large", layout, SGD(1.0), fence=1)
    large.create(np.zeros(20_000))
    meter = ServerMeter(servers)
    before, ours = meter.read(), servers.traffic.moved
    for sequence in range(1, 21):
        large.push(TOKEN, sequence, np.zeros(20_000, "f4"), fetch=sequence % 2 == 0)
    counted, seen = servers.traffic.moved - ours, meter.since(before)
    large.delete()
    assert counted.sent == pytest.approx(seen.received, rel=0.05)
    assert counted.received == pytest.approx(seen.sent, rel=0.05)


def test_a_new_name_whose_answer_was_lost_is_given_once(
    servers: Servers, store: RedisParameterStore, run_id: str
) -> None:
    store.copy(PARAMETERS, named("a"))
    keys = [shard(run_id, 0, what) for what in ("meta", named("a"), named("b"))]
    commands = [Command.call(0, RENAME, keys, (store.fence, 1, number)) for number in (90, 90, 91)]
    assert [servers.call([command])[0] for command in commands] == [b"OK", b"OK", b"NOMODEL"]
    assert servers.one("EXISTS", *keys[1:], server=0) == 1
