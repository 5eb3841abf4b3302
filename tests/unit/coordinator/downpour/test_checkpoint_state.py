"""Downpour's shards in a checkpoint, and back on servers that lost some of them or all."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from distbelief.app.errors import CheckpointError, Fenced, ModelMissing
from distbelief.app.files import checkpoint
from distbelief.app.files.checkpoint import Checkpoint
from distbelief.app.layout.keys import BEST, PARAMETERS, named, slot
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec, Vector
from distbelief.app.optimizers.registry import build_rule
from distbelief.app.optimizers.rule import Rule
from distbelief.app.optimizers.rules.adagrad import Adagrad
from distbelief.app.settings.sections import ObjectiveSettings
from distbelief.app.store.contract.parameters import ParameterStore, ShardCounts, ShardState, Token
from distbelief.app.store.memory.parameters import MemoryParameterStore
from distbelief.coordinator.downpour.checkpoint_state import Known, capture, restore

SIZE = 12
FENCE = 3
VALUES = np.linspace(-1.0, 1.0, SIZE)
GRADIENT = np.linspace(0.5, 2.0, SIZE)
ACCUMULATOR = slot("adagrad")


OPTIMIZERS = get_args(ObjectiveSettings.model_fields["optimizer"].annotation)


ADAGRAD = Adagrad(0.1)


def store_of(n_shards: int = 3, fence: int = FENCE, rule: Rule = ADAGRAD) -> MemoryParameterStore:
    """Without any values."""
    layout = Layout((TensorSpec("w", (SIZE,)),), 1, n_shards, n_servers=1)
    return MemoryParameterStore(layout, rule, fence=fence)


@pytest.fixture
def store() -> MemoryParameterStore:
    """After one push of stream 0 and two of stream 1."""
    store = store_of()
    store.create(VALUES)
    push(store, 0, 1)
    push(store, 1, 1)
    push(store, 1, 2)
    return store


def push(store: ParameterStore, stream: int, sequence: int) -> None:
    store.push(Token(store.fence, stream, 1), sequence, GRADIENT)


def vectors(store: ParameterStore, *names: str) -> list[list[float]]:
    return [store.fetch(name).vector.tolist() for name in (PARAMETERS, ACCUMULATOR, *names)]


@pytest.fixture
def saved(store: MemoryParameterStore, tmp_path: Path) -> Callable[[], Checkpoint]:
    """Writes the state of the moment, with the best model if there is one."""

    def save() -> Checkpoint:
        best = BEST in store.named_vectors()
        captured = capture(store, {"seconds": 1.5}, best=best, rank=0.5)
        path = checkpoint.write(tmp_path, "000003-000001", captured.document, captured.vectors())
        captured.release()
        return checkpoint.read(path)

    return save


def nothing_saved() -> Checkpoint:
    raise CheckpointError("there is no checkpoint to go back to")


# --- writing


def test_a_capture_has_the_state_of_its_moment_whatever_is_pushed_meanwhile(
    store: MemoryParameterStore,
) -> None:
    before = vectors(store)
    captured = capture(store, {"seconds": 1.5}, best=False, rank=0.5)
    push(store, 0, 2)
    read = dict(captured.vectors())
    assert [read[name].tolist() for name in (PARAMETERS, ACCUMULATOR)] == before
    assert list(read) == [PARAMETERS, ACCUMULATOR]
    assert captured.document["driver"] == {"seconds": 1.5}
    assert [each["sequences"] for each in captured.document["shards"]] == [{"0": 1, "1": 2}] * 3
    assert captured.rank == 0.5


def test_the_best_model_is_kept_as_well_if_there_is_one(store: MemoryParameterStore) -> None:
    best = VALUES.astype(np.float32)
    store.put(BEST, best)
    read = dict(capture(store, {}, best=True, rank=None).vectors())
    assert read[BEST].tolist() == best.tolist()
    assert BEST not in dict(capture(store, {}, best=False, rank=None).vectors())


def test_what_was_captured_is_dropped_from_the_servers_in_the_end(
    store: MemoryParameterStore,
) -> None:
    store.put(BEST, VALUES)
    captured = capture(store, {}, best=True, rank=None)
    assert len(store.named_vectors()) == 1 + 3
    captured.release()
    assert store.named_vectors() == {BEST}


# --- taking up


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_rule_goes_on_from_a_checkpoint_as_if_nothing_had_been_lost(
    optimizer: str, tmp_path: Path
) -> None:
    rule = build_rule(ObjectiveSettings(optimizer=optimizer, ftrl_l1=0.1))
    names = (PARAMETERS, *map(slot, rule.slots))
    trained = []
    for lost in (False, True):
        store = store_of(rule=rule)
        store.create(VALUES)
        for sequence in range(1, 7):
            push(store, 0, sequence)
            if lost and sequence == 4:
                captured = capture(store, {}, best=False, rank=None)
                path = checkpoint.write(tmp_path, "1-1", captured.document, captured.vectors())
                store.delete()
                restore(store, FENCE + 1, partial(checkpoint.read, path), Known())
        trained.append([store.fetch(name).vector.tobytes() for name in names])
    assert trained[0] == trained[1]


def test_shards_that_lost_nothing_go_on_from_where_they_stand(store: MemoryParameterStore) -> None:
    store.put(BEST, VALUES)
    store.put(named("evaluation7"), VALUES)
    before = vectors(store, BEST)
    restored = restore(store, FENCE + 1, nothing_saved, Known(), pytest.fail)
    assert restored.checkpoint is None
    assert restored.shard_states == [ShardState(3, 0, {0: 1, 1: 2})] * 3
    assert vectors(store, BEST) == before
    assert store.named_vectors() == {BEST}  # nobody waits for the others any more
    assert store.fence == store.highest_fence() == FENCE + 1
    with pytest.raises(Fenced):
        store.push(Token(FENCE, 0, 1), 2, GRADIENT)
    push(store, 0, 2)


def test_lost_shards_come_back_and_the_others_go_on(
    store: MemoryParameterStore, saved: Callable[[], Checkpoint]
) -> None:
    old, then = saved(), vectors(store)
    push(store, 0, 2)
    now = vectors(store)
    store._shards[1] = None
    restored = restore(store, FENCE + 1, lambda: old, Known())
    assert restored.shard_states == [
        ShardState(4, 0, {0: 2, 1: 2}),
        ShardState(3, 0, {0: 1, 1: 2}),
        ShardState(4, 0, {0: 2, 1: 2}),
    ]
    part = store.layout.shard_slice(1)
    for before, after, found in zip(then, now, vectors(store), strict=True):
        assert found == after[: part.start] + before[part] + after[part.stop :]
    assert restored.checkpoint is old


def said_of(store: MemoryParameterStore, old: Checkpoint, known: Known) -> list[str]:
    """What is said while a store is restored."""
    said = list[str]()
    restore(store, FENCE + 1, lambda: old, known, said.append)
    return said


def test_it_is_said_what_came_back_and_what_is_missing(
    store: MemoryParameterStore, saved: Callable[[], Checkpoint]
) -> None:
    old = saved()
    for lost in (0, 2):
        store._shards[lost] = None
    known = [ShardCounts(9, 0), ShardCounts(3, 0), ShardCounts(2, 0)]
    assert said_of(store, old, Known(counts=known)) == [
        "shard 0 came back from checkpoint 000003-000001, 3 updates; at least 6 were lost and "
        "are made again",
        "shard 2 came back from checkpoint 000003-000001, 3 updates; at least 0 were lost and "
        "are made again",
    ]


def test_what_is_missing_is_told_by_what_the_other_shards_have(
    store: MemoryParameterStore, saved: Callable[[], Checkpoint]
) -> None:
    """All but the last push of each stream, which may have been in flight to the lost one."""
    old = saved()
    for sequence in (2, 3, 4, 5):
        push(store, 0, sequence)
    store._shards[1] = None
    assert said_of(store, old, Known()) == [
        "shard 1 came back from checkpoint 000003-000001, 3 updates; at least 3 were lost and "
        "are made again"
    ]


def test_of_a_run_that_nobody_saw_nothing_is_said_to_be_missing(
    saved: Callable[[], Checkpoint],
) -> None:
    old, store = saved(), store_of(2, fence=0)
    assert said_of(store, old, Known()) == [
        "shard 0 came back from checkpoint 000003-000001, 3 updates",
        "shard 1 came back from checkpoint 000003-000001, 3 updates",
    ]


def test_the_best_model_comes_back_on_all_shards(
    store: MemoryParameterStore, saved: Callable[[], Checkpoint]
) -> None:
    """Half of one model and half of another would be none."""
    store.put(BEST, VALUES)
    old = saved()
    store.put(BEST, VALUES + 1)
    store._shards[0] = None
    restore(store, FENCE + 1, lambda: old, Known())
    assert store.fetch(BEST).vector.tolist() == VALUES.astype(np.float32).tolist()


@pytest.mark.parametrize("n_shards", [1, 2, 3, 5, 12])
def test_a_run_comes_back_on_any_number_of_shards(
    store: MemoryParameterStore, saved: Callable[[], Checkpoint], n_shards: int
) -> None:
    store.put(BEST, VALUES)
    old = saved()
    other = store_of(n_shards, fence=0)
    restored = restore(other, FENCE + 1, lambda: old, Known())
    assert vectors(other, BEST) == vectors(store, BEST)
    assert restored.shard_states == [ShardState(3, 0, {0: 1, 1: 2})] * n_shards
    push(other, 0, 2)
    push(store, 0, 2)
    assert vectors(other) == vectors(store)


def test_without_a_checkpoint_lost_shards_do_not_come_back(store: MemoryParameterStore) -> None:
    store._shards[2] = None
    with pytest.raises(CheckpointError):
        restore(store, FENCE + 1, nothing_saved, Known())


def test_a_server_that_loses_its_data_again_meanwhile_is_noticed(
    store: MemoryParameterStore,
    saved: Callable[[], Checkpoint],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old, drop = saved(), store.drop

    def drop_and_lose(*names: str) -> None:
        drop(*names)
        store._shards[0] = None

    store._shards[1] = None
    monkeypatch.setattr(store, "drop", drop_and_lose)
    with pytest.raises(ModelMissing, match="lost its data again"):
        restore(store, FENCE + 1, lambda: old, Known())


def test_shards_of_a_newer_coordinator_are_not_taken_up(store: MemoryParameterStore) -> None:
    store.raise_fence(FENCE + 5)
    before: list[Vector] = [store.fetch(name).vector for name in (PARAMETERS, ACCUMULATOR)]
    with pytest.raises(Fenced):
        restore(store, FENCE + 1, nothing_saved, Known())
    assert vectors(store) == [vector.tolist() for vector in before]
