"""How many updates a shard lost is told by the shards that are left."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from distbelief.app.files import checkpoint
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.optimizers.rules.adagrad import Adagrad
from distbelief.app.store.contract.parameters import ShardCounts, Token
from distbelief.app.store.memory.parameters import MemoryParameterStore
from distbelief.coordinator.downpour.checkpoint_state import Known, capture, restore

FENCE = 3
VALUES = np.linspace(-1.0, 1.0, 12)


@pytest.mark.parametrize(
    ("lost_shards", "known", "told"),
    [
        # Five of stream 0 and two of stream 1 came after the checkpoint, the last ones of
        # each perhaps not on the lost shard: 4 + 1.
        ([1], [], 5),
        ([1], [ShardCounts(4, 0)] * 3, 5),  # seen before the last pushes
        ([1], [ShardCounts(8, 0)] * 3, 6),  # seen after most of them
        ([0, 1, 2], [], None),  # nobody is left who could tell
        ([0, 1, 2], [ShardCounts(8, 0)] * 3, 6),
    ],
)
def test_the_loss_is_what_others_had_or_what_was_seen(
    lost_shards: list[int], known: list[ShardCounts], told: int | None, tmp_path: Path
) -> None:
    layout = Layout((TensorSpec("w", (12,)),), 1, n_shards=3, n_servers=1)
    store = MemoryParameterStore(layout, Adagrad(0.1), fence=FENCE)
    store.create(VALUES)

    def push(stream: int, first: int, last: int) -> None:
        for sequence in range(first, last + 1):
            store.push(Token(FENCE, stream, 1), sequence, VALUES)

    push(0, 1, 2)
    captured = capture(store, {"evaluations": {}}, best=False, rank=None)
    path = checkpoint.write(tmp_path, "one", captured.document, captured.vectors())
    push(0, 3, 7)
    push(1, 1, 2)
    for shard in lost_shards:
        store._shards[shard] = None

    said = list[str]()
    restore(store, FENCE + 1, lambda: checkpoint.read(path), Known(counts=known), said.append)
    came_back = "came back from checkpoint one, 2 updates"
    loss = "" if told is None else f"; at least {told} were lost and are made again"
    assert said == [f"shard {shard} {came_back}{loss}" for shard in lost_shards]
