"""What parameters and vectors on Redis servers have in common: shards, and moving them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from app.errors import LayoutError
from app.keys import COUNTED, PARAMETERS, shard
from app.layout import Layout, Vector
from app.scripts import Script
from app.store.contract import Fetched, Positions, ShardCounts, check_values, missing
from app.store.servers import Argument, Command, Servers

Head = tuple[Argument, ...]

CREATE = Script.load("app.store", "create", "prelude")
FENCE = Script.load("app.store", "fence")


@dataclass(frozen=True)
class Shard:
    """What every call about one shard needs, worked out once."""

    server: int
    part: slice
    blocks: range
    ids: str
    meta: str
    keys: tuple[str, ...]


class RedisShards:
    """The :class:`app.store.contract.ShardStore` of one run on Redis servers.

    ``vectors`` are the names of those that exist from the beginning.
    """

    def __init__(
        self,
        servers: Servers,
        run: str,
        layout: Layout,
        dtype: np.dtype[np.floating] | type[np.floating],
        vectors: tuple[str, ...] = (PARAMETERS,),
    ) -> None:
        if layout.n_servers != len(servers):
            raise LayoutError(
                f"the run's parameters lie on {layout.n_servers} servers, {len(servers)} were given"
            )
        self.layout = layout
        self.dtype = np.dtype(dtype).newbyteorder("<")
        self._servers = servers
        self._run = run
        self._vectors = vectors
        self._shards = [self._describe(index) for index in range(layout.n_shards)]

    def fetch(self, name: str = PARAMETERS, *, stream: int = 0) -> Fetched:
        commands = []
        for index, at in enumerate(self._shards):
            # The position is read first: a push in between is then counted as staleness
            # that was not there, never the other way round.
            commands.append(
                Command(at.server, ("HMGET", at.meta, "clock", f"seq:{stream}")),
            )
            key = shard(self._run, index, name)
            commands.append(Command(at.server, ("HMGET", key, *at.blocks)))
        replies = self._servers.call(commands)
        vector = np.empty(self.layout.size, self.dtype)
        stood = []
        for index, at in enumerate(self._shards):
            (clock, sequence), blocks = replies[2 * index], replies[2 * index + 1]
            if clock is None or None in blocks:
                raise missing(index)
            vector[at.part] = np.frombuffer(b"".join(blocks), self.dtype)
            stood.append((int(clock), int(sequence or 0)))
        return Fetched(vector, positions(stood))

    def counts(self) -> list[ShardCounts]:
        replies = self._servers.call(
            [Command(at.server, ("HMGET", at.meta, "clock", "refused")) for at in self._shards]
        )
        for index, (clock, _) in enumerate(replies):
            if clock is None:
                raise missing(index)
        return [ShardCounts(int(clock), int(refused)) for clock, refused in replies]

    def copy(self, source: str, target: str) -> None:
        commands = [
            Command(
                at.server,
                ("COPY", shard(self._run, i, source), shard(self._run, i, target), "REPLACE"),
            )
            for i, at in enumerate(self._shards)
        ]
        for index, copied in enumerate(self._servers.call(commands)):
            if not copied:
                raise missing(index)

    def drop(self, *names: str) -> None:
        commands = []
        for index, at in enumerate(self._shards if names else ()):
            keys = (shard(self._run, index, name) for name in names)
            commands.append(Command(at.server, ("UNLINK", *keys)))
        self._servers.call(commands)

    def raise_fence(self, fence: int) -> None:
        replies = self._servers.call(
            [Command.call(at.server, FENCE, [at.meta], [fence]) for at in self._shards]
        )
        for index, (answer, _) in enumerate(replies):
            if answer == b"NOMODEL":
                raise missing(index)

    def delete(self) -> None:
        self.drop("meta", COUNTED, *self._vectors)

    def _create(self, fence: int, vectors: Sequence[Vector]) -> bool:
        """Write first values, in the order of the names, where the run has none."""
        packed = [self._packed(vector) for vector in vectors]
        check_values(self.layout, packed)
        commands = []
        for at in self._shards:
            numbers = ",".join(str(length(self.layout.block_slice(b))) for b in at.blocks)
            values = [vector[at.part].tobytes() for vector in packed]
            head: Head = (fence, self._kind, self.layout.digest, at.ids, numbers)
            commands.append(Command.call(at.server, CREATE, at.keys, [*head, *values]))
        replies = self._servers.call(commands)
        if any(stored.decode() != self.layout.digest for _, stored in replies):
            raise LayoutError(f"run {self._run} is there already with another layout")
        return all(answer == b"CREATED" for answer, _ in replies)

    @property
    def _kind(self) -> str:
        """The letter of the dtype in the scripts: f or d."""
        return self.dtype.char

    def _describe(self, index: int) -> Shard:
        blocks = self.layout.blocks(index)
        meta, *keys = (shard(self._run, index, what) for what in ("meta", *self._vectors))
        return Shard(
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


def positions(pairs: Iterable[Sequence[int]]) -> Positions:
    table = np.array(list(pairs), dtype=np.int64)
    return Positions(table[:, 0], table[:, 1])
