"""Shards in this process, which the memory stores share.

They keep the promises of :mod:`distbelief.app.store.contract.parameters` with dicts and NumPy,
block by block and answer by answer as the scripts do. They are not made for speed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from distbelief.app.errors import Fenced
from distbelief.app.layout.keys import PARAMETERS, named
from distbelief.app.layout.layout import Table
from distbelief.app.layout.rows import NO_TABLES, Ids, TableRows, Tables
from distbelief.app.layout.tensors import Vector
from distbelief.app.settings.downpour import Wire
from distbelief.app.store.contract.checks import check_values
from distbelief.app.store.contract.coding import NUMPY, check_coding
from distbelief.app.store.contract.parameters import (
    Fetched,
    ShardCounts,
    ShardState,
    behind,
    missing,
)
from distbelief.app.store.contract.standings import Standing, Standings
from distbelief.app.store.contract.tables import (
    Begin,
    Float,
    Request,
    blocks_on,
    rows_in,
)
from distbelief.app.store.memory.calls import MemoryShard, MemoryShardCalls, fenced


class MemoryShards(MemoryShardCalls):
    """The ``ShardStore`` of one run in this process."""

    def fetch(
        self,
        name: str = PARAMETERS,
        *,
        stream: int = 0,
        rows: Sequence[Ids] = (),
        known: Standings | None = None,
        wire: Wire = "float32",
    ) -> Fetched:
        check_coding(wire, self.dtype)
        vector = np.empty(self.layout.size, self.dtype)
        for index, at in enumerate(self._shards):
            expected = self._known(index) if known is None else known[index]
            if at is not None and at.standing < expected:
                raise behind(index)
            if at is None or name not in at.vectors:
                raise missing(index)
            if index < self.layout.n_dense_shards:
                for block, values in at.vectors[name].items():
                    vector[self.layout.block_slice(block)] = values
                part = self.layout.shard_slice(index)
                vector[part] = NUMPY.rounded(wire, vector[part])
        return Fetched(vector, self._positions(stream), self._rows(name, rows))

    def touched(self, name: str = PARAMETERS) -> tuple[TableRows, ...]:
        blocks: dict[int, bytes] = {}
        for index in range(self.layout.n_dense_shards, self.layout.n_shards):
            vectors = self._read(index).vectors
            if name not in vectors:
                raise missing(index)
            blocks |= {block: values.tobytes() for block, values in vectors[name].items()}
        return rows_in(self.layout, blocks, self.dtype)

    def stored_bytes(self) -> int:
        blocks = (at.vectors[name] for at in self._present() for name in self._vectors)
        return sum(values.nbytes for each in blocks for values in each.values())

    def counts(self) -> list[ShardCounts]:
        shards = map(self._read, range(self.layout.n_shards))
        return [ShardCounts(at.clock, at.refused) for at in shards]

    def copy(self, source: str, target: str) -> None:
        self.freeze({source: target})

    def freeze(self, copies: Mapping[str, str]) -> list[ShardState]:
        number = self._acknowledged.next_number()
        return self._ask(lambda index: self._freeze(index, copies, number))

    def rename(self, name: str, new: str) -> None:
        number = self._acknowledged.next_number()

        def rename(index: int) -> None:
            at = self._ours(index)
            if name not in at.vectors:
                raise missing(index)
            at.vectors[new] = at.vectors.pop(name)
            self._change(index, at, number)

        self._ask(rename)

    def drop(self, *names: str) -> None:
        if not names:
            return
        number = self._acknowledged.next_number()

        def drop(index: int) -> None:
            if self._shards[index] is not None:
                at = self._ours(index)
                for name in names:
                    at.vectors.pop(name, None)
                self._change(index, at, number)

        self._ask(drop)

    def raise_fence(self, fence: int) -> None:
        self.fence = fence

        def take(index: int) -> None:
            at = self._there(index)
            if at.standing < self.standings[index]:
                raise behind(index)
            if at.fence > fence:
                raise Fenced(f"shard {index} knows the newer fence {at.fence}")
            if at.fence < fence:
                at.fence, at.change, at.evaluation = fence, 0, None
                at.attempts.clear()
            self._acknowledged.note(index, max(self.standings[index], Standing(fence)))

        self._ask(take)

    def shard_states(self, *names: str) -> list[ShardState | None]:
        names = (*self._vectors, *names)
        return [
            at.shard_state if at and all(name in at.vectors for name in names) else None
            for at in self._shards
        ]

    def restore(
        self,
        shards: Mapping[int, ShardState],
        vectors: Mapping[str, Vector],
        tables: Mapping[str, Tables] = NO_TABLES,
    ) -> None:
        vectors, number = self._checked(vectors), self._acknowledged.next_number()

        def restore(index: int) -> None:
            at = self._shards[index]
            if at is not None and at.fence > self.fence:
                raise fenced(index)
            self._write(index, shards[index], vectors, tables, number)

        self._ask(restore, shards)

    def put(self, name: str, vector: Vector, tables: Tables = ()) -> None:
        vectors, number = self._checked({name: vector}), self._acknowledged.next_number()

        def put(index: int) -> None:
            at = self._ours(index)
            at.vectors[name] = self._cut(index, vectors[name], tables)
            self._change(index, at, number)

        self._ask(put)

    def highest_fence(self) -> int:
        return max((at.fence for at in self._shards if at is not None), default=0)

    def named_vectors(self) -> set[str]:
        names = {name for at in self._shards if at is not None for name in at.vectors}
        return {name for name in names if name.startswith(named(""))}

    def delete(self) -> None:
        self._shards = [None] * self.layout.n_shards

    def _create(self, values: Sequence[Vector], tables: Mapping[str, Tables] = NO_TABLES) -> bool:
        """Write first values, in the order of the names, where there are none."""
        first = self._checked(dict(zip(self._vectors, values, strict=True)))
        number = self._acknowledged.next_number()
        new = [index for index, at in enumerate(self._shards) if at is None]
        for index in new:
            self._write(index, ShardState(), first, tables, number)
        return len(new) == len(self._shards)

    def _freeze(self, index: int, copies: Mapping[str, str], number: int) -> ShardState:
        at = self._ours(index)
        if any(source not in at.vectors for source in copies):
            raise missing(index)
        for source, target in copies.items():
            at.vectors[target] = {block: v.copy() for block, v in at.vectors[source].items()}
        found = at.shard_state
        self._change(index, at, number)
        return found

    def _write(
        self,
        index: int,
        shard_state: ShardState,
        values: Mapping[str, Vector],
        tables: Mapping[str, Tables],
        number: int,
    ) -> None:
        """Put these in place of what is there; other vectors stay beside them."""
        at = self._shards[index]
        vectors = dict(at.vectors) if at is not None else {}
        vectors |= {
            name: self._cut(index, value, tables.get(name, ())) for name, value in values.items()
        }
        new = MemoryShard(self.fence, vectors, 0, shard_state.applied, shard_state.refused)
        new.sequences = dict(shard_state.sequences)
        self._shards[index] = new
        self._change(index, new, number)

    def _checked(self, vectors: Mapping[str, Vector]) -> dict[str, Vector]:
        """In the store's dtype; what it cannot hold becomes infinite and is refused."""
        with np.errstate(over="ignore"):
            cast = {name: vector.astype(self.dtype) for name, vector in vectors.items()}
        check_values(self.layout, cast.values())
        return cast

    def _rows(self, name: str, rows: Sequence[Ids]) -> tuple[Vector, ...]:
        """Read ``rows`` from the table shards, as they would reply on servers."""
        request, replies = Request.of(self.layout, rows), []
        for index in range(self.layout.n_dense_shards, self.layout.n_shards):
            blocks = self._there(index).vectors[name]
            replies.append(_stored_rows(blocks, request.on(index), self.dtype))
        return request.rows(replies, self.dtype, self._beginning(name))

    def _beginning(self, name: str) -> Begin:
        """The first values of a vector in tables."""
        return lambda drawn: drawn

    def _cut(self, index: int, vector: Vector, tables: Tables) -> dict[int, Vector]:
        """A shard's blocks of a vector."""
        if index >= self.layout.n_dense_shards:
            blocks = blocks_on(self.layout, index, tables, self.dtype)
            ends = np.cumsum(blocks.numbers, dtype=int)
            parts = np.split(np.frombuffer(blocks.values, self.dtype), ends)
            return dict(zip(blocks.ids, parts[:-1], strict=True))
        return {
            block: vector[self.layout.block_slice(block)].astype(self.dtype)
            for block in self.layout.blocks(index)
        }


def _stored_rows(
    blocks: Mapping[int, Vector], asked: Sequence[tuple[Table, Ids]], dtype: Float
) -> tuple[bytes, bytes]:
    """Whether each row is there, and the values of all, as ``fetch_rows.lua`` replies."""
    there, values = list[bool](), list[Vector]()
    for table, rows in asked:
        for row in rows.tolist():
            block, within = divmod(row, table.rows_per_block)
            stored = blocks.get(table.first_block + block)
            there.append(stored is not None)
            if stored is None:
                values.append(np.zeros(table.width, dtype))
            else:
                values.append(stored.reshape(-1, table.width)[within])
    return bytes(there), b"".join(each.tobytes() for each in values)
