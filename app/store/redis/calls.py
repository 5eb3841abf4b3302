"""Calls about the shards of one run on Redis servers: keys, commands, the meaning of errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from distbelief.app.client.commands import Command, Reply
from distbelief.app.client.scripts import Script
from distbelief.app.client.servers import Servers
from distbelief.app.client.wire import Argument
from distbelief.app.errors import Fenced, LayoutError
from distbelief.app.layout.keys import PARAMETERS, shard
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.rows import NO_TABLES, Tables
from distbelief.app.layout.tensors import Vector
from distbelief.app.store.contract.checks import check_values
from distbelief.app.store.contract.parameters import ShardState, missing
from distbelief.app.store.contract.tables import blocks_on
from distbelief.app.store.redis.costs import Cost, longest
from distbelief.app.store.redis.meta import fields_of

Head = tuple[Argument, ...]

CREATE = Script.load("distbelief.app.store", "create", "prelude")


@dataclass(frozen=True)
class ShardKeys:
    """Keys, blocks and server of one shard, worked out once for every call about it."""

    server: int
    part: slice
    blocks: range
    ids: str
    meta: str
    keys: tuple[str, ...]


class ShardCalls:
    """Calls that all stores on Redis servers are made of.

    ``vectors`` are the names of those that exist from the beginning.
    """

    def __init__(
        self,
        servers: Servers,
        run: str,
        layout: Layout,
        dtype: np.dtype[np.floating] | type[np.floating] = np.float64,
        vectors: tuple[str, ...] = (PARAMETERS,),
        *,
        fence: int,
    ) -> None:
        if layout.n_servers != len(servers):
            raise LayoutError(
                f"the run's parameters lie on {layout.n_servers} servers, {len(servers)} were given"
            )
        self.layout = layout
        self.dtype = np.dtype(dtype).newbyteorder("<")
        self.fence = fence
        self._servers = servers
        self._run = run
        self._vectors = vectors
        self._shards = [self._describe(index) for index in range(layout.n_shards)]

    def _create(self, vectors: Sequence[Vector], tables: Mapping[str, Tables] = NO_TABLES) -> bool:
        """Write first values, in the order of the names, where the run has none."""
        first = dict(zip(self._vectors, vectors, strict=True))
        replies = self._write("create", first, tables)
        if any(stored.decode() != self.layout.digest for _, stored in replies):
            raise LayoutError(f"run {self._run} is there already with another layout")
        return all(answer == b"CREATED" for answer, _ in replies)

    def _write(
        self, mode: str, vectors: Mapping[str, Vector], tables: Mapping[str, Tables]
    ) -> list[Reply]:
        """Write vectors to all shards; the reply of each."""
        packed, new, indices = self._checked(vectors), ShardState(), range(len(self._shards))
        return self._servers.call(
            [self._writing(mode, index, new, packed, tables) for index in indices]
        )

    def _writing(
        self,
        mode: str,
        index: int,
        shard_state: ShardState,
        packed: Mapping[str, Vector],
        tables: Mapping[str, Tables],
    ) -> Command:
        """The command that writes a shard's part of vectors, and where it stands."""
        at = self._shards[index]
        if at.blocks:
            ids = at.ids
            numbers = ",".join(str(length(self.layout.block_slice(b))) for b in at.blocks)
            values = [vector[at.part].tobytes() for vector in packed.values()]
        else:
            parts = [blocks_on(self.layout, index, tables.get(v, ()), self.dtype) for v in packed]
            ids, numbers = parts[0].id_text, parts[0].number_text
            values = [part.values for part in parts]
        head: Head = (self.fence, mode, self._kind, self.layout.digest, ids, numbers)
        arguments = [*head, fields_of(shard_state), *values]
        return Command.call(at.server, CREATE, self._keys(index, *packed), arguments)

    def _checked(self, vectors: Mapping[str, Vector]) -> dict[str, Vector]:
        """In the wire's dtype, and finite."""
        packed = {name: self._packed(vector) for name, vector in vectors.items()}
        check_values(self.layout, packed.values())
        return packed

    def _check(self, index: int, answer: Reply) -> None:
        """Raise for the answers after which there is no going on."""
        if answer == b"NOMODEL":
            raise missing(index)
        if answer == b"FENCED":
            raise Fenced(f"shard {index} is fenced: a newer coordinator took over")

    def _keys(self, index: int, *names: str) -> list[str]:
        """The keys of a shard's meta and of vectors."""
        return [shard(self._run, index, what) for what in ("meta", *names)]

    def _at_a_time(self, cost: Cost) -> list[int]:
        """For each server how many calls on a shard, at this cost a number, may be one behind
        another until others get their turn.
        """
        largest = max(1, length(self._shards[0].part))
        return [max(1, most // largest) for most in longest(self._servers, cost)]

    @property
    def _kind(self) -> str:
        """The letter of the dtype in the scripts: f or d."""
        return self.dtype.char

    def _describe(self, index: int) -> ShardKeys:
        blocks = self.layout.blocks(index)
        meta, *keys = (shard(self._run, index, what) for what in ("meta", *self._vectors))
        return ShardKeys(
            server=self.layout.server(index),
            part=self.layout.shard_slice(index),
            blocks=blocks,
            ids=",".join(map(str, blocks)),
            meta=meta,
            keys=(meta, *keys),
        )

    def _packed(self, vector: Vector) -> Vector:
        """In the wire's dtype; what float32 cannot hold becomes infinite and is refused."""
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(vector, self.dtype)


def length(part: slice) -> int:
    return int(part.stop - part.start)
