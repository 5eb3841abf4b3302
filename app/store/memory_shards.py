"""Shards in this process: what the memory stores have in common.

They keep the promises of :mod:`app.store.contract` with dicts and NumPy, block by block
and answer by answer as the scripts do. They are not made for speed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from app.keys import PARAMETERS
from app.layout import Layout, Vector
from app.store.contract import Fetched, Positions, ShardCounts, check_values, missing


@dataclass
class Shard:
    """One shard: what its meta hash and its hashes of blocks hold on a server."""

    fence: int
    vectors: dict[str, dict[int, Vector]]
    clock: int = 0
    refused: int = 0
    attempts: dict[int, int] = field(default_factory=dict)
    sequences: dict[int, int] = field(default_factory=dict)
    evaluation: int | None = None
    counted: set[int] = field(default_factory=set)


class MemoryShards:
    """The :class:`app.store.contract.ShardStore` of one run in this process."""

    def __init__(
        self,
        layout: Layout,
        dtype: np.dtype[np.floating] | type[np.floating],
        vectors: tuple[str, ...] = (PARAMETERS,),
    ) -> None:
        self.layout = layout
        self.dtype = np.dtype(dtype)
        self._shards: list[Shard | None] = [None] * layout.n_shards
        self._vectors = vectors

    def fetch(self, name: str = PARAMETERS, *, stream: int = 0) -> Fetched:
        vector = np.empty(self.layout.size, self.dtype)
        for index, at in enumerate(self._present()):
            if name not in at.vectors:
                raise missing(index)
            for block, values in at.vectors[name].items():
                vector[self.layout.block_slice(block)] = values
        return Fetched(vector, self._positions(stream))

    def counts(self) -> list[ShardCounts]:
        return [ShardCounts(at.clock, at.refused) for at in self._present()]

    def copy(self, source: str, target: str) -> None:
        for index, at in enumerate(self._present()):
            if source not in at.vectors:
                raise missing(index)
            at.vectors[target] = {block: v.copy() for block, v in at.vectors[source].items()}

    def drop(self, *names: str) -> None:
        for at in filter(None, self._shards):
            for name in names:
                at.vectors.pop(name, None)

    def raise_fence(self, fence: int) -> None:
        for at in self._present():
            at.fence = max(at.fence, fence)

    def delete(self) -> None:
        self._shards = [None] * self.layout.n_shards

    def _create(self, fence: int, values: Sequence[Vector]) -> bool:
        """Write first values, in the order of the names, where there are none."""
        check_values(self.layout, values)
        if all(self._shards):
            return False
        for index in range(self.layout.n_shards):
            vectors = {
                name: {
                    block: value[self.layout.block_slice(block)].astype(self.dtype)
                    for block in self.layout.blocks(index)
                }
                for name, value in zip(self._vectors, values, strict=True)
            }
            self._shards[index] = Shard(fence, vectors)
        return True

    def _present(self) -> list[Shard]:
        for index, at in enumerate(self._shards):
            if at is None:
                raise missing(index)
        return [at for at in self._shards if at is not None]

    def _positions(self, stream: int) -> Positions:
        pairs = [(at.clock, at.sequences.get(stream, 0)) if at else (0, 0) for at in self._shards]
        table = np.array(pairs, dtype=np.int64)
        return Positions(table[:, 0], table[:, 1])
