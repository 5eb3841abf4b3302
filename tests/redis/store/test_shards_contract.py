"""What both kinds of store promise of their shards, in this process and on servers: copies,
fences, standings, and coming back after a loss.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import pytest

from distbelief.app.client.engine import Engine
from distbelief.app.client.servers import Servers
from distbelief.app.errors import Fenced, LayoutError, ModelMissing, ShardBehind
from distbelief.app.layout.keys import PARAMETERS, named, slot
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec, Vector
from distbelief.app.optimizers.rules.adagrad import Adagrad
from distbelief.app.store.contract.parameters import ShardState, ShardStore
from distbelief.app.store.memory.calls import MemoryShard
from distbelief.app.store.memory.parameters import MemoryParameterStore
from distbelief.app.store.memory.shards import MemoryShards
from distbelief.app.store.memory.vectors import MemoryVectorStore
from distbelief.app.store.redis.parameters import RedisParameterStore
from distbelief.app.store.redis.vectors import RedisVectorStore
from distbelief.coordinator.cluster.binaries import ServerProgram
from tests.redis.programs import ENGINES, existing, usable

# 38 numbers in 10 blocks of 4, the last of 2; shards of 3, 3, 2 and 2 blocks.
LAYOUT = Layout((TensorSpec("w", (38,)),), 4, n_shards=4, n_servers=2)
SHARDS = LAYOUT.n_shards
FENCE = 3
A, B, C = named("a"), named("b"), named("c")
VALUES = np.linspace(-1.0, 1.0, LAYOUT.size)
OTHERS = np.linspace(5.0, 9.0, LAYOUT.size)
STANDING = ShardState(7, 2, {0: 4, 11: 5})

Open = Callable[..., ShardStore]
FIRST = {"parameters": (PARAMETERS, slot("adagrad")), "vectors": (PARAMETERS,)}
MEMORY: dict[str, Callable[..., MemoryShards]] = {
    "parameters": partial(MemoryParameterStore, LAYOUT, Adagrad(0.1), np.float32),
    "vectors": partial(MemoryVectorStore, LAYOUT, np.float64),
}


@dataclass(frozen=True)
class Backend:
    """Where shards are: ``open`` makes a store for a fence, ``lose`` takes a shard away.

    ``first`` are the vectors that are there from the beginning.
    """

    open: Open
    lose: Callable[[int], object]
    first: tuple[str, ...]

    def all_of(self, values: Vector, *names: str) -> dict[str, Vector]:
        """The first vectors and others, each with these values."""
        return dict.fromkeys((*self.first, *names), values)


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
        return in_memory(kind)
    program, engine = request.param
    return on_servers(kind, servers_of(existing(program), usable(engine)), run_id)


def in_memory(kind: str) -> Backend:
    shards: list[MemoryShard | None] = [None] * SHARDS

    def open_store(fence: int = FENCE) -> Any:
        store = MEMORY[kind](fence=fence)
        store._shards = shards  # one coordinator after another finds the same
        return store

    return Backend(open_store, lambda index: shards.__setitem__(index, None), FIRST[kind])


def on_servers(kind: str, servers: Servers, run: str) -> Backend:
    def open_store(fence: int = FENCE) -> Any:
        if kind == "parameters":
            return RedisParameterStore(servers, run, LAYOUT, Adagrad(0.1), fence=fence)
        return RedisVectorStore(servers, run, LAYOUT, fence=fence)

    def lose(index: int) -> None:
        server = LAYOUT.server(index)
        keys = servers.one("KEYS", f"ps:{{{run}/{index}}}:*", server=server)
        assert servers.one("DEL", *keys, server=server) == len(keys) > 0

    return Backend(open_store, lose, FIRST[kind])


@pytest.fixture
def empty(backend: Backend) -> ShardStore:
    return backend.open()


@pytest.fixture
def store(empty: ShardStore) -> ShardStore:
    assert create(empty, VALUES)
    return empty


def create(store: ShardStore, values: Vector) -> bool:
    """The same call to both kinds; parameters have slots beside them."""
    return bool(cast("Any", store).create(values))


def read(store: ShardStore, name: str = PARAMETERS) -> list[float]:
    numbers: list[float] = store.fetch(name).vector.tolist()
    return numbers


def rounded(store: ShardStore, values: Vector) -> list[float]:
    """As the store holds them."""
    numbers: list[float] = values.astype(store.dtype).tolist()
    return numbers


def is_there(store: ShardStore, name: str) -> bool:
    try:
        store.fetch(name)
    except ModelMissing:
        return False
    return True


def changes(store: ShardStore) -> list[Callable[[], object]]:
    """All that a coordinator changes by name."""
    return [
        lambda: store.copy(PARAMETERS, C),
        lambda: store.freeze({PARAMETERS: C}),
        lambda: store.put(C, OTHERS),
        lambda: store.rename(C, C),
        lambda: store.drop(A),
    ]


# --- creating


def test_a_run_is_created_under_the_fence_of_its_coordinator(backend: Backend) -> None:
    assert create(backend.open(FENCE + 4), VALUES)
    assert backend.open().highest_fence() == FENCE + 4
    for change in changes(backend.open()):
        with pytest.raises(Fenced):
            change()
    for change in changes(backend.open(FENCE + 4)):
        change()


@pytest.mark.parametrize("fence", [FENCE - 1, FENCE, FENCE + 1])
def test_creating_again_changes_neither_values_nor_fence(
    store: ShardStore, backend: Backend, fence: int
) -> None:
    assert not create(backend.open(fence), OTHERS)
    assert read(store) == rounded(store, VALUES)
    assert store.highest_fence() == FENCE


def test_creating_completes_what_is_missing_and_resets_nothing(
    store: ShardStore, backend: Backend
) -> None:
    backend.lose(2)
    assert not create(store, OTHERS)
    expected = VALUES.copy()
    expected[LAYOUT.shard_slice(2)] = OTHERS[LAYOUT.shard_slice(2)]
    assert read(store) == rounded(store, expected)


# --- putting a vector


def test_a_vector_that_is_put_is_fetched_in_the_dtype(store: ShardStore) -> None:
    store.put(A, OTHERS)
    assert store.fetch(A).vector.dtype == store.dtype
    assert read(store, A) == rounded(store, OTHERS)


def test_a_vector_that_is_put_replaces_what_had_its_name_and_nothing_else(
    store: ShardStore,
) -> None:
    before = store.shard_states()
    store.put(A, OTHERS)
    store.put(B, OTHERS)
    store.put(A, OTHERS + 1)
    assert read(store, A) == rounded(store, OTHERS + 1)
    assert read(store, B) == rounded(store, OTHERS)
    assert read(store) == rounded(store, VALUES)
    assert store.shard_states() == before


@pytest.mark.parametrize("size", [LAYOUT.size - 1, LAYOUT.size + 1])
def test_a_vector_of_another_length_is_not_put(store: ShardStore, size: int) -> None:
    with pytest.raises(LayoutError, match=f"every vector needs 38 numbers, got .{size},"):
        store.put(A, np.zeros(size))
    assert not is_there(store, A)


def test_nothing_can_be_put_beside_a_run_that_is_not_there(empty: ShardStore) -> None:
    with pytest.raises(ModelMissing, match="shard 0 does not know this run"):
        empty.put(A, OTHERS)
    assert empty.named_vectors() == set()


# --- copies at one moment


def test_a_frozen_copy_stays_as_it_was(store: ShardStore) -> None:
    store.put(A, OTHERS)
    store.freeze({PARAMETERS: B, A: C})
    store.put(A, OTHERS + 1)
    store.put(PARAMETERS, VALUES + 1)
    assert read(store, B) == rounded(store, VALUES)
    assert read(store, C) == rounded(store, OTHERS)


def test_freezing_again_replaces_the_copies(store: ShardStore) -> None:
    store.freeze({PARAMETERS: A})
    store.put(PARAMETERS, OTHERS)
    store.freeze({PARAMETERS: A})
    assert read(store, A) == rounded(store, OTHERS)


def test_freezing_tells_where_each_shard_stands(store: ShardStore, backend: Backend) -> None:
    assert store.freeze({PARAMETERS: A}) == [ShardState()] * SHARDS
    store.restore({1: STANDING}, backend.all_of(VALUES))
    expected = [ShardState(), STANDING, ShardState(), ShardState()]
    assert store.freeze({}) == store.freeze({PARAMETERS: A}) == expected


@pytest.mark.parametrize(
    "copies", [{A: B, PARAMETERS: C}, {PARAMETERS: C, A: B}], ids=["first", "last"]
)
def test_freezing_a_vector_that_is_not_there_copies_nothing(
    store: ShardStore, copies: dict[str, str]
) -> None:
    with pytest.raises(ModelMissing, match="shard 0"):
        store.freeze(copies)
    assert store.named_vectors() == set()


def test_freezing_a_run_that_lost_a_shard_says_which(store: ShardStore, backend: Backend) -> None:
    backend.lose(3)
    for copying in (lambda: store.freeze({PARAMETERS: A}), lambda: store.copy(PARAMETERS, A)):
        with pytest.raises(ModelMissing, match="shard 3 does not know this run"):
            copying()


# --- new names


def test_a_vector_with_a_new_name_takes_the_place_of_what_was_called_so(store: ShardStore) -> None:
    store.put(A, OTHERS)
    store.put(B, VALUES)
    before = store.shard_states()
    store.rename(A, B)
    assert read(store, B) == rounded(store, OTHERS)
    store.rename(B, C)
    store.rename(C, C)
    assert read(store, C) == rounded(store, OTHERS)
    assert store.named_vectors() == {C}
    assert store.shard_states() == before


def test_a_vector_that_is_not_there_gets_no_name(store: ShardStore, backend: Backend) -> None:
    store.put(B, OTHERS)
    with pytest.raises(ModelMissing, match="shard 0"):
        store.rename(A, B)
    assert read(store, B) == rounded(store, OTHERS)
    backend.lose(3)
    with pytest.raises(ModelMissing, match="shard 3 does not know this run"):
        store.rename(B, C)


# --- fences


@pytest.mark.parametrize(
    ("fence", "error", "message"),
    [
        (FENCE - 1, Fenced, "shard 0 is fenced: a newer coordinator took over"),
        (FENCE + 1, ShardBehind, "shard 0 lacks what it had acknowledged"),
    ],
)
def test_a_coordinator_with_another_fence_changes_nothing_by_name(
    store: ShardStore, backend: Backend, fence: int, error: type[Exception], message: str
) -> None:
    store.put(A, OTHERS)
    for change in changes(backend.open(fence)):
        with pytest.raises(error, match=message):
            change()
    assert store.named_vectors() == {A}
    assert read(store, A) == rounded(store, OTHERS)


def test_whoever_raises_the_fence_goes_on_and_the_one_before_is_shut_out(
    store: ShardStore, backend: Backend
) -> None:
    store.put(A, OTHERS)
    new = backend.open(FENCE)
    new.raise_fence(FENCE + 2)
    assert new.fence == new.highest_fence() == FENCE + 2
    for change in changes(store):
        with pytest.raises(Fenced):
            change()
    assert read(new) == rounded(new, VALUES)
    for change in changes(new):
        change()
    assert new.named_vectors() == {C}


def test_a_fence_that_is_raised_leaves_vectors_and_standings(
    store: ShardStore, backend: Backend
) -> None:
    store.put(A, OTHERS)
    store.restore({2: STANDING}, backend.all_of(VALUES))
    before = store.shard_states()
    store.raise_fence(FENCE + 1)
    assert store.shard_states() == before
    assert read(store) == rounded(store, VALUES)
    assert read(store, A) == rounded(store, OTHERS)


def test_a_fence_cannot_be_raised_where_a_newer_one_is(store: ShardStore, backend: Backend) -> None:
    backend.open(FENCE + 5).restore({2: ShardState()}, backend.all_of(VALUES))
    with pytest.raises(Fenced, match=f"shard 2 knows the newer fence {FENCE + 5}"):
        store.raise_fence(FENCE + 4)
    assert store.highest_fence() == FENCE + 5


def test_a_run_that_lost_a_shard_cannot_raise_its_fence(
    store: ShardStore, backend: Backend
) -> None:
    backend.lose(1)
    with pytest.raises(ModelMissing, match="shard 1 does not know this run"):
        store.raise_fence(FENCE + 1)


def test_the_highest_fence_is_that_of_any_shard(
    empty: ShardStore, backend: Backend, store: ShardStore
) -> None:
    assert store.highest_fence() == FENCE
    backend.open(FENCE + 5).restore({2: ShardState()}, backend.all_of(VALUES))
    backend.lose(0)
    assert store.highest_fence() == FENCE + 5


def test_a_run_that_no_shard_knows_has_no_fence(empty: ShardStore) -> None:
    assert empty.highest_fence() == 0


# --- where shards stand


def test_a_new_run_stands_at_the_beginning(store: ShardStore) -> None:
    assert store.shard_states() == [ShardState(0, 0, {})] * SHARDS


def test_a_run_that_was_never_created_stands_nowhere(empty: ShardStore) -> None:
    assert empty.shard_states() == [None] * SHARDS


def test_a_lost_shard_stands_nowhere(store: ShardStore, backend: Backend) -> None:
    backend.lose(1)
    assert store.shard_states() == [ShardState(), None, ShardState(), ShardState()]


def test_a_shard_that_lacks_a_vector_stands_nowhere_for_who_needs_it(
    store: ShardStore, backend: Backend
) -> None:
    store.put(A, OTHERS)
    backend.lose(1)
    create(store, VALUES)  # without vector a
    assert store.shard_states() == [ShardState()] * SHARDS
    assert store.shard_states(A) == [ShardState(), None, ShardState(), ShardState()]
    assert store.shard_states(PARAMETERS, B) == [None] * SHARDS


def test_a_shard_without_its_parameters_stands_nowhere(store: ShardStore, backend: Backend) -> None:
    backend.lose(1)
    store.restore({1: STANDING}, {A: OTHERS})
    assert store.shard_states() == [ShardState(), None, ShardState(), ShardState()]


# --- named vectors


def test_named_vectors_are_all_but_parameters_and_slots(store: ShardStore) -> None:
    assert store.named_vectors() == set()
    store.put(A, OTHERS)
    store.copy(PARAMETERS, B)
    assert store.named_vectors() == {A, B}
    store.drop(A)
    assert store.named_vectors() == {B}


def test_a_vector_on_one_shard_alone_is_named_and_dropped(
    store: ShardStore, backend: Backend
) -> None:
    store.put(A, OTHERS)
    for index in (0, 1, 2):
        backend.lose(index)
    assert store.named_vectors() == {A}
    store.drop(A, B)  # lost shards are no error
    assert store.named_vectors() == set()


# --- coming back


def test_lost_shards_come_back_and_the_others_stay(store: ShardStore, backend: Backend) -> None:
    before = store.shard_states()
    backend.lose(1)
    backend.lose(3)
    store.restore({1: STANDING, 3: ShardState()}, backend.all_of(OTHERS))
    assert store.shard_states() == [before[0], STANDING, before[2], ShardState()]
    expected = VALUES.copy()
    for index in (1, 3):
        expected[LAYOUT.shard_slice(index)] = OTHERS[LAYOUT.shard_slice(index)]
    assert read(store) == rounded(store, expected)


def test_a_whole_run_comes_back_where_nothing_is_left(empty: ShardStore, backend: Backend) -> None:
    shard_states = {index: ShardState(index, 1, {0: index + 1}) for index in range(SHARDS)}
    empty.restore(shard_states, {**backend.all_of(VALUES), A: OTHERS})
    assert empty.shard_states(A) == list(shard_states.values())
    assert read(empty) == rounded(empty, VALUES)
    assert read(empty, A) == rounded(empty, OTHERS)
    assert empty.highest_fence() == FENCE


@pytest.mark.parametrize("fence", [FENCE, FENCE + 1])
def test_what_is_restored_takes_the_place_of_what_is_there(
    store: ShardStore, backend: Backend, fence: int
) -> None:
    store.put(A, VALUES)
    store.put(B, VALUES)
    everywhere = dict.fromkeys(range(SHARDS), STANDING)
    new = backend.open(fence)
    new.restore(everywhere, backend.all_of(OTHERS, A))
    assert new.shard_states(A, B) == [STANDING] * SHARDS
    assert [read(new, name) for name in (PARAMETERS, A)] == [rounded(new, OTHERS)] * 2
    assert read(new, B) == rounded(new, VALUES)  # under a name that was not restored
    assert new.highest_fence() == fence


def test_a_restored_shard_shuts_the_coordinator_before_out(
    store: ShardStore, backend: Backend
) -> None:
    backend.open(FENCE + 1).restore({0: ShardState()}, backend.all_of(VALUES))
    for change in changes(store):
        with pytest.raises(Fenced, match="shard 0 is fenced"):
            change()


def test_a_shard_that_knows_a_newer_fence_is_not_restored(
    store: ShardStore, backend: Backend
) -> None:
    store.raise_fence(FENCE + 2)
    for fence in (FENCE, FENCE + 1):
        with pytest.raises(Fenced, match="shard 3 is fenced: a newer coordinator took over"):
            backend.open(fence).restore({3: STANDING}, backend.all_of(OTHERS))
    assert store.shard_states() == [ShardState()] * SHARDS
    assert read(store) == rounded(store, VALUES)


@pytest.mark.parametrize("size", [LAYOUT.size - 1, LAYOUT.size + 1])
def test_vectors_of_another_length_are_not_restored(
    store: ShardStore, backend: Backend, size: int
) -> None:
    with pytest.raises(LayoutError, match=f"every vector needs 38 numbers, got .{size},"):
        store.restore({0: STANDING}, {**backend.all_of(VALUES), A: np.zeros(size)})
    assert store.shard_states() == [ShardState()] * SHARDS
    assert store.named_vectors() == set()


def test_restoring_no_shard_changes_nothing(store: ShardStore, backend: Backend) -> None:
    store.restore({}, backend.all_of(OTHERS))
    assert read(store) == rounded(store, VALUES)


def test_a_frozen_state_comes_back_as_it_was(store: ShardStore, backend: Backend) -> None:
    """The round trip of a checkpoint."""
    store.restore(dict.fromkeys(range(SHARDS), STANDING), backend.all_of(OTHERS))
    shard_states = store.freeze({PARAMETERS: A})
    copied = store.fetch(A).vector
    backend.lose(2)
    store.restore({2: shard_states[2]}, backend.all_of(copied))
    assert store.shard_states() == [STANDING] * SHARDS
    assert read(store) == rounded(store, OTHERS)
