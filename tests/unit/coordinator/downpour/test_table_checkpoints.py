"""Tables in a checkpoint, and back on servers that lost some shards or all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from distbelief.app.files import checkpoint
from distbelief.app.files.checkpoint import Checkpoint
from distbelief.app.layout.keys import BEST, PARAMETERS, slot
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.rows import TableRows
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.optimizers.rules.adagrad import Adagrad
from distbelief.app.store.contract.parameters import ShardState, Token
from distbelief.app.store.memory.parameters import MemoryParameterStore
from distbelief.coordinator.downpour.checkpoint_state import Known, capture, restore

FENCE = 3
TENSORS = (
    TensorSpec("table", (60, 2), sparse=True, spread=0.5),
    TensorSpec("bias", (3,)),
    TensorSpec("other", (7,), sparse=True, spread=0.0),
)
LAYOUT = Layout(TENSORS, 1, 5, 1, n_table_shards=3, seed=4)
BEGUN = np.zeros(3)


def store_of(layout: Layout = LAYOUT, fence: int = FENCE) -> MemoryParameterStore:
    return MemoryParameterStore(layout, Adagrad(0.1), fence=fence)


def push(store: MemoryParameterStore, stream: int, sequence: int) -> None:
    ids = np.unique(np.random.default_rng([stream, sequence]).integers(0, 60, 6))
    rows = [
        TableRows(ids, np.ones((len(ids), 2))),
        TableRows(np.array([sequence]), np.full((1, 1), 0.5)),
    ]
    store.push(Token(store.fence, stream, 1), sequence, np.ones(3), rows=rows)


@pytest.fixture
def store() -> MemoryParameterStore:
    """After one push of stream 0 and two of stream 1."""
    store = store_of()
    store.create(BEGUN)
    for stream, sequence in ((0, 1), (1, 1), (1, 2)):
        push(store, stream, sequence)
    return store


@pytest.fixture
def saved(store: MemoryParameterStore, tmp_path: Path) -> Callable[[], Checkpoint]:
    def save() -> Checkpoint:
        best = BEST in store.named_vectors()
        captured = capture(store, {"seconds": 1.5}, best=best, rank=0.5)
        path = checkpoint.write(tmp_path, "000003-000001", captured.document, captured.vectors())
        captured.release()
        return checkpoint.read(path)

    return save


def held(store: MemoryParameterStore, *names: str) -> list[object]:
    """The dense part, and all rows that have come into being."""
    found: list[object] = []
    for name in (PARAMETERS, slot("adagrad"), *names):
        found.append(store.fetch(name).vector.tolist())
        found += [(rows.ids.tolist(), rows.values.tolist()) for rows in store.touched(name)]
    return found


@pytest.mark.parametrize("lost", [[0], [2], [3, 4], [0, 1, 2, 3, 4]], ids=str)
def test_lost_shards_come_back_with_their_rows(
    store: MemoryParameterStore, saved: Callable[[], Checkpoint], lost: list[int]
) -> None:
    store.copy(PARAMETERS, BEST)
    old, then = saved(), held(store, BEST)
    for shard in lost:
        store._shards[shard] = None
    taken = restore(store, FENCE + 1, lambda: old, Known())
    assert taken.shard_states == [ShardState(3, 0, {0: 1, 1: 2})] * 5
    assert held(store, BEST) == then


def test_shards_that_are_left_keep_what_came_after_the_checkpoint(
    store: MemoryParameterStore, saved: Callable[[], Checkpoint]
) -> None:
    old = saved()
    push(store, 0, 2)
    store._shards[3] = None
    taken = restore(store, FENCE + 1, lambda: old, Known())
    assert [shard_state.sequences[0] for shard_state in taken.shard_states] == [2, 2, 2, 1, 2]


@pytest.mark.parametrize("n_table_shards", [1, 2, 5])
def test_a_run_comes_back_on_any_number_of_table_shards(
    store: MemoryParameterStore, saved: Callable[[], Checkpoint], n_table_shards: int
) -> None:
    layout = replace(LAYOUT, n_shards=2 + n_table_shards, n_table_shards=n_table_shards)
    old, other = saved(), store_of(layout, fence=0)
    taken = restore(other, FENCE + 1, lambda: old, Known())
    assert taken.shard_states == [ShardState(3, 0, {0: 1, 1: 2})] * layout.n_shards
    assert held(other) == held(store)
    for each in (other, store):
        push(each, 0, 2)
    assert held(other) == held(store)


def test_new_table_shards_take_the_highest_sequence_of_the_old_ones(
    store: MemoryParameterStore, saved: Callable[[], Checkpoint]
) -> None:
    """Their blocks are dealt anew: a push that some have must not come twice."""
    ahead = store._shards[4]
    assert ahead is not None
    ahead.sequences[0], ahead.clock = 2, 4
    old = saved()
    other = store_of(replace(LAYOUT, n_shards=4, n_table_shards=2), fence=0)
    taken = restore(other, FENCE + 1, lambda: old, Known())
    assert [shard_state.sequences[0] for shard_state in taken.shard_states] == [1, 1, 2, 2]
