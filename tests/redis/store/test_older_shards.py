"""A server that comes back with older data: whoever had seen more notices it at once.

A shard is put back to what it was at some time, with all of its keys, and then asked for
everything that there is. Both kinds of store, in this process and on servers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import pytest

from distbelief.app.client.engine import Engine
from distbelief.app.client.servers import Servers
from distbelief.app.errors import Fenced, ModelMissing, ShardBehind
from distbelief.app.layout.keys import PARAMETERS, named
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.rows import TableRows
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.optimizers.rules.adagrad import Adagrad
from distbelief.app.store.contract.parameters import ParameterStore, ShardStore, Token
from distbelief.app.store.contract.standings import Standing
from distbelief.app.store.contract.vectors import VectorStore
from distbelief.app.store.memory.calls import MemoryShard
from distbelief.app.store.memory.parameters import MemoryParameterStore
from distbelief.app.store.memory.vectors import MemoryVectorStore
from distbelief.app.store.redis import costs
from distbelief.app.store.redis.parameters import RedisParameterStore
from distbelief.app.store.redis.vectors import RedisVectorStore
from distbelief.coordinator.cluster.binaries import ServerProgram
from tests.redis.client.dumps import dumped, put_back
from tests.redis.programs import ENGINES, existing, usable

#: Dense numbers on shards 0 to 2, on two servers; 30 rows of a table on shards 3 and 4.
DENSE = TensorSpec("w", (22,))
TABLE = TensorSpec("e", (30, 2), sparse=True, spread=0.1)
FENCE = 3
A, B, C, GRADIENT = named("a"), named("b"), named("c"), named("gradient")
BEHIND = "shard {} lacks what it had acknowledged: its server came back with older data"

Use = Callable[[Any], object]


def layout(kind: str) -> Layout:
    tensors = (DENSE, TABLE) if kind == "parameters" else (DENSE,)
    return Layout.plan(tensors, n_servers=2, block_numbers=4, n_shards=3)


@dataclass(frozen=True)
class Backend:
    """Where shards are. ``remember`` makes something that puts a shard back to what it is."""

    layout: Layout
    open: Callable[..., Any]
    remember: Callable[[int], Callable[[], None]]


@pytest.fixture(params=["parameters", "vectors"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["memory", *ENGINES])
def backend(
    request: pytest.FixtureRequest,
    kind: str,
    servers_of: Callable[[ServerProgram, Engine], Servers],
    run_id: str,
) -> Backend:
    if request.param == "memory":
        return in_memory(layout(kind), kind)
    program, engine = request.param
    return on_servers(layout(kind), kind, servers_of(existing(program), usable(engine)), run_id)


def in_memory(layout: Layout, kind: str) -> Backend:
    shards: list[MemoryShard | None] = [None] * layout.n_shards

    def open_store(fence: int = FENCE) -> Any:
        store: Any = (
            MemoryParameterStore(layout, Adagrad(0.1), fence=fence)
            if kind == "parameters"
            else MemoryVectorStore(layout, fence=fence)
        )
        store._shards = shards
        return store

    def remember(index: int) -> Callable[[], None]:
        older = deepcopy(shards[index])
        return lambda: shards.__setitem__(index, deepcopy(older))

    return Backend(layout, open_store, remember)


def on_servers(layout: Layout, kind: str, servers: Servers, run: str) -> Backend:
    def open_store(fence: int = FENCE) -> Any:
        if kind == "parameters":
            return RedisParameterStore(servers, run, layout, Adagrad(0.1), fence=fence)
        return RedisVectorStore(servers, run, layout, fence=fence)

    def remember(index: int) -> Callable[[], None]:
        pattern, server = f"ps:{{{run}/{index}}}:*", layout.server(index)
        older = dumped(servers, pattern, server)
        return lambda: put_back(servers, pattern, server, older)

    return Backend(layout, open_store, remember)


@pytest.fixture
def store(backend: Backend) -> ShardStore:
    store = backend.open()
    assert store.create(np.linspace(-1.0, 1.0, backend.layout.size))
    store.copy(PARAMETERS, A)
    return cast("ShardStore", store)


#: Changes of a coordinator, of both kinds of store.
CHANGES: dict[str, Use] = {
    "copy": lambda store: store.copy(PARAMETERS, B),
    "put": lambda store: store.put(B, np.ones(store.layout.size), rows_of(store)),
    "drop": lambda store: store.drop(C),
    "rename": lambda store: store.rename(PARAMETERS, PARAMETERS),
}
READS: dict[str, Use] = {
    "fetch": lambda store: store.fetch(),
    "touched": lambda store: store.touched(),
    "counts": lambda store: store.counts(),
}
ON_VECTORS: dict[str, Use] = {
    "combine": lambda store: store.combine(C, [(2.0, A)]),
    "pseudo": lambda store: store.pseudo_gradient(C, A, PARAMETERS, 0.1),
    "orthant": lambda store: store.orthant_step(C, A, PARAMETERS, A, 0.1),
    "begin": lambda store: store.begin(1, GRADIENT),
    "counted": lambda store: store.counted(1),
}
READ_VECTORS: dict[str, Use] = {
    "dots": lambda store: store.dots([(A, A)]),
    "sparsity": lambda store: store.sparsity(A),
}


def rows_of(store: ShardStore) -> list[TableRows]:
    return [TableRows(np.arange(4), np.ones((4, 2))) for _ in store.layout.tables]


def of(kind: str, both: dict[str, Use], vectors: dict[str, Use]) -> dict[str, Use]:
    return both | (vectors if kind == "vectors" else {})


def test_every_call_notices_a_shard_that_lacks_any_acknowledged_change(
    store: ShardStore, backend: Backend, kind: str
) -> None:
    changes = of(kind, CHANGES, ON_VECTORS)
    calls = changes | of(kind, READS, READ_VECTORS)
    for change in changes.values():
        for shard in {0, backend.layout.n_shards - 1}:
            store.copy(PARAMETERS, A)
            go_back = backend.remember(shard)
            change(store)
            go_on = backend.remember(shard)
            go_back()
            for name, call in calls.items():
                if name == "touched" and not backend.layout.tables:
                    continue
                with pytest.raises(ShardBehind, match=BEHIND.format(shard)):
                    call(store)
            go_on()
            assert store.fetch().vector.size == backend.layout.size


def test_a_refused_call_changes_nothing_on_the_shard_that_went_back(
    store: ShardStore, backend: Backend, kind: str
) -> None:
    go_back = backend.remember(1)
    store.copy(PARAMETERS, B)
    go_back()
    stranger = backend.open()  # knows nothing, and reads
    before = stranger.shard_states()[1], stranger.shard_states()[1].standing
    for change in of(kind, CHANGES, ON_VECTORS).values():
        with pytest.raises(ShardBehind):
            change(store)
    after = stranger.shard_states()[1]
    assert (after, after.standing) == before
    with pytest.raises(ModelMissing):
        stranger.fetch(B)  # the copy was made by the others alone


def test_a_shard_that_went_back_before_the_fence_was_raised_is_not_taken_for_a_newer_one(
    store: ShardStore, backend: Backend
) -> None:
    go_back = backend.remember(2)
    store.raise_fence(FENCE + 1)
    go_back()
    for call in (*READS.values(), *CHANGES.values()):
        if call is READS["touched"]:
            continue
        with pytest.raises(ShardBehind, match=BEHIND.format(2)):
            call(store)
    with pytest.raises(ShardBehind, match=BEHIND.format(2)):
        store.raise_fence(FENCE + 2)
    with pytest.raises(Fenced):  # the others did
        backend.open(FENCE + 1).copy(PARAMETERS, B)


def test_others_who_know_less_cannot_bring_a_shard_to_where_it_seemed_to_be(
    backend: Backend, store: ShardStore, kind: str
) -> None:
    go_back = backend.remember(0)
    store.copy(PARAMETERS, B)
    store.copy(PARAMETERS, C)
    go_back()
    if kind == "parameters":
        parameters = cast("ParameterStore", backend.open())
        for sequence in range(1, 9):
            gradient = np.ones(backend.layout.size)
            parameters.push(Token(FENCE, 0, 1), sequence, gradient, rows=rows_of(store))
    with pytest.raises(ShardBehind):
        store.fetch(B)


def test_a_worker_is_told_what_the_shards_must_have(store: ShardStore, backend: Backend) -> None:
    go_back = backend.remember(1)
    store.copy(PARAMETERS, B)
    known, worker = store.standings, backend.open()
    assert worker.fetch(B, known=known).vector.size == backend.layout.size
    go_back()
    store_of_old = backend.open()
    store_of_old.accept(store_of_old.shard_states())
    store_of_old.copy(PARAMETERS, B)  # of the same name, and another vector
    with pytest.raises(ShardBehind, match=BEHIND.format(1)):
        worker.fetch(B, known=known)


def test_what_went_back_is_gone_on_with_once_it_is_taken_for_what_it_is(
    store: ShardStore, backend: Backend
) -> None:
    go_back = backend.remember(0)
    store.copy(PARAMETERS, B)
    go_back()
    found = store.shard_states()
    standings = [state.standing for state in found if state is not None]
    assert standings[0] < standings[1]
    store.accept(found)
    store.raise_fence(FENCE + 1)
    assert set(store.standings) == {Standing(FENCE + 1, 0)}
    store.copy(PARAMETERS, B)
    assert store.fetch(B).vector.tolist() == store.fetch().vector.tolist()


def test_a_shard_that_went_back_once_more_before_its_fence_is_raised_is_noticed(
    store: ShardStore, backend: Backend
) -> None:
    still_older = backend.remember(0)
    store.copy(PARAMETERS, B)
    go_back = backend.remember(0)
    store.copy(PARAMETERS, C)
    go_back()
    store.accept(store.shard_states())
    still_older()
    with pytest.raises(ShardBehind):
        store.raise_fence(FENCE + 1)


@pytest.mark.parametrize("kind", ["vectors"], indirect=True)
def test_portions_that_were_lost_after_they_were_counted_are_missed(
    store: ShardStore, backend: Backend
) -> None:
    vectors = cast("VectorStore", store)
    vectors.begin(1, GRADIENT)
    portion = partial(vectors.accumulate, FENCE, 1, GRADIENT)
    portion(0, np.ones(backend.layout.size))
    half = backend.remember(1)
    portion(1, np.ones(backend.layout.size))
    assert vectors.counted(1) == [2, 2, 2]
    half()
    portion(1, np.ones(backend.layout.size))  # late, and comes twice
    with pytest.raises(ShardBehind, match=BEHIND.format(1)):
        vectors.dots([(GRADIENT, GRADIENT)])


@pytest.mark.parametrize("kind", ["vectors"], indirect=True)
def test_a_write_in_many_calls_notices_a_shard_that_goes_back_between_two(
    store: ShardStore, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not isinstance(store, RedisVectorStore):
        pytest.skip("in this process a write is one call")
    monkeypatch.setattr(costs, "NS_PER_MS", 1.0)  # a call for each block
    older, calls = list[Callable[[], None]](), 0
    servers = store._servers
    send = servers.call

    def call(commands: Sequence[Any], **words: Any) -> list[Any]:
        nonlocal calls
        calls += 1
        if calls == 2:
            older[0]()
        return send(commands, **words)

    older.append(backend.remember(0))
    monkeypatch.setattr(servers, "call", call)
    try:
        with pytest.raises(ShardBehind, match=BEHIND.format(0)):
            store.combine(C, [(2.0, A)])
    finally:
        monkeypatch.undo()


@pytest.mark.parametrize("kind", ["parameters"], indirect=True)
def test_pushes_that_were_lost_are_missed(store: ShardStore, backend: Backend) -> None:
    parameters, token = cast("ParameterStore", store), Token(FENCE, 0, 1)
    push = partial(parameters.push, token, rows=rows_of(store))
    gradient = np.ones(backend.layout.size)
    for shard in (0, backend.layout.n_shards - 1):
        first = int(parameters.announce(token).sequences.max()) + 1
        push(first, gradient)
        go_back = backend.remember(shard)
        push(first + 1, gradient)
        go_back()
        with pytest.raises(ShardBehind, match=f"shard {shard} stands at sequence {first}, so it"):
            push(first + 2, gradient)
        assert parameters.announce(token).sequences[shard] == first
        push(first + 1, gradient)
        push(first + 2, gradient)


@pytest.mark.parametrize("kind", ["parameters"], indirect=True)
def test_a_run_that_an_older_version_began_is_gone_on_with(
    store: ShardStore, backend: Backend
) -> None:
    """Its shards know no changes."""
    if isinstance(store, MemoryParameterStore):
        pytest.skip("there are none in this process")
    servers, run = cast("Any", store)._servers, cast("Any", store)._run
    for shard in range(backend.layout.n_shards):
        key = f"ps:{{{run}/{shard}}}:meta"
        assert servers.one("HDEL", key, "change", server=backend.layout.server(shard)) == 1
    new = backend.open(FENCE + 1)
    new.accept(new.shard_states())
    new.raise_fence(FENCE + 1)
    new.copy(PARAMETERS, B)
    assert new.fetch(B).vector.tolist() == new.fetch().vector.tolist()
