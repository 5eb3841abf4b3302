"""The vectors of L-BFGS on the shards: those that a checkpoint reads outlive their iteration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from distbelief.app.errors import ModelMissing
from distbelief.app.files import checkpoint
from distbelief.app.layout.keys import PARAMETERS, named
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.store.memory.vectors import MemoryVectorStore
from distbelief.coordinator.sandblaster.descent import Evaluate
from distbelief.coordinator.sandblaster.space import Space

SIZE = 6


@pytest.fixture
def store() -> MemoryVectorStore:
    store = MemoryVectorStore(Layout((TensorSpec("w", (SIZE,)),), 2, 2, 1), fence=1)
    store.create(np.zeros(SIZE))
    store.put(named("x0"), np.ones(SIZE))
    return store


@pytest.fixture
def space(store: MemoryVectorStore) -> Space:
    """With vectors x0 to x3; all of x1 is 1, and so on."""
    space = Space(store)
    space.live.add("x0")
    for number in (1, 2, 3):
        space.combine(f"x{number}", [(float(number), "x0")])
    return space


def there(store: MemoryVectorStore) -> set[str]:
    return {name.removeprefix(named("")) for name in store.named_vectors()}


def read(space: Space, names: Sequence[str]) -> dict[str, list[float]]:
    return {name: vector.tolist() for name, vector in space.read(names)}


def test_what_was_combined_or_evaluated_lives_until_it_is_dropped(
    space: Space, store: MemoryVectorStore
) -> None:
    space.note_evaluation(Evaluate("x1", "g1"))
    assert space.live == {"x0", "x1", "x2", "x3", "g1"}
    space.drop(["x1", "g1"])
    assert space.live == there(store) == {"x0", "x2", "x3"}
    assert space.dots([("x2", "x3")]) == [6.0 * SIZE]


def test_a_pinned_vector_outlives_its_end_until_it_was_read(
    space: Space, store: MemoryVectorStore
) -> None:
    space.pin(["x1", "x2"])
    space.drop(["x1", "x3"])
    assert there(store) == {"x0", "x1", "x2"}
    assert read(space, ["x1", "x2"])[named("x1")] == [1.0] * SIZE
    space.unpin()
    assert space.live == there(store) == {"x0", "x2"}
    space.drop(["x2"])  # which nothing pins any more
    assert there(store) == {"x0"}


def test_the_parameters_are_read_before_the_vectors_by_their_names_on_the_shards(
    space: Space,
) -> None:
    assert next(space.read(["x2", "x1"]))[0] == PARAMETERS
    assert read(space, ["x2"]) == {PARAMETERS: [0.0] * SIZE, named("x2"): [2.0] * SIZE}


def test_a_vector_that_is_gone_cannot_be_read(space: Space) -> None:
    space.drop(["x1"])
    with pytest.raises(ModelMissing):
        read(space, ["x1"])


def test_what_a_checkpoint_has_comes_back_on_all_shards(
    space: Space, store: MemoryVectorStore, tmp_path: Path
) -> None:
    path = checkpoint.write(tmp_path, "1", {}, space.read(["x1", "x2"]))
    store._shards[1] = None
    for name in ("x1", "x2"):
        store._shards[0].vectors.pop(named(name))  # type: ignore[union-attr]
    new = Space(store)
    new.restore(checkpoint.read(path), ["x1", "x2"])
    assert read(new, ["x1", "x2"]) == {
        PARAMETERS: [0.0] * SIZE,
        named("x1"): [1.0] * SIZE,
        named("x2"): [2.0] * SIZE,
    }
    assert None not in store.shard_states(named("x1"), named("x2"))


def test_after_a_reset_there_is_what_is_in_force_and_nothing_else(
    space: Space, store: MemoryVectorStore
) -> None:
    """Also what no iteration knows of: a coordinator before died in the middle of one."""
    store.put(named("d17"), np.ones(SIZE))
    space.pin(["x1"])
    space.drop(["x1"])
    space.reset(["x2", "x3"])
    assert space.live == there(store) == {"x2", "x3"}
    space.unpin()
    space.drop(["x2"])
    assert there(store) == {"x3"}


def test_in_the_end_nothing_is_left_beside_the_parameters(
    space: Space, store: MemoryVectorStore
) -> None:
    space.pin(["x1"])
    space.drop(["x1"])
    space.clear()
    assert space.live == there(store) == set()
