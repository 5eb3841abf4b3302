"""What parameters and vectors on Redis servers have in common: shards, and moving them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from app.errors import Fenced, LayoutError
from app.keys import COUNTED, PARAMETERS, named, shard
from app.layout import Layout, Vector
from app.scripts import Script
from app.store.checks import check_values
from app.store.contract import Fetched, Positions, ShardCounts, Standing, missing
from app.store.servers import Argument, Command, Reply, Servers

Head = tuple[Argument, ...]

#: Keys that a server looks at in one step of a scan.
SCAN_COUNT = 1000

CREATE = Script.load("app.store", "create", "prelude")
COPY = Script.load("app.store", "copy")
DROP = Script.load("app.store", "drop")
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
        self.freeze({source: target})

    def freeze(self, copies: Mapping[str, str]) -> list[Standing]:
        names = [name for pair in copies.items() for name in pair]
        replies = self._servers.call(
            [
                Command.call(at.server, COPY, self._keys(index, *names), [self.fence])
                for index, at in enumerate(self._shards)
            ]
        )
        for index, (answer, _) in enumerate(replies):
            self._check(index, answer)
        return [_standing(meta) for _, meta in replies]

    def drop(self, *names: str) -> None:
        replies = self._servers.call(
            [
                Command.call(at.server, DROP, self._keys(index, *names), [self.fence])
                for index, at in enumerate(self._shards if names else ())
            ]
        )
        for index, answer in enumerate(replies):
            self._check(index, answer)

    def raise_fence(self, fence: int) -> None:
        self.fence = fence
        replies = self._servers.call(
            [Command.call(at.server, FENCE, [at.meta], [fence]) for at in self._shards]
        )
        for index, (answer, in_force) in enumerate(replies):
            self._check(index, answer)
            if in_force > fence:
                raise Fenced(f"shard {index} knows the newer fence {in_force}")

    def standings(self, *names: str) -> list[Standing | None]:
        names = (*self._vectors, *names)
        commands = []
        for index, at in enumerate(self._shards):
            commands.append(Command(at.server, ("HGETALL", at.meta)))
            commands += [Command(at.server, ("HLEN", key)) for key in self._keys(index, *names)[1:]]
        replies, width = self._servers.call(commands), 1 + len(names)
        standings = []
        for index, at in enumerate(self._shards):
            meta, *lengths = replies[index * width : (index + 1) * width]
            fields = dict(zip(meta[::2], meta[1::2], strict=True))
            ours = fields.get(b"layout") == self.layout.digest.encode()
            whole = ours and set(lengths) == {len(at.blocks)}
            standings.append(_standing(meta) if whole else None)
        return standings

    def restore(self, shards: Mapping[int, Standing], vectors: Mapping[str, Vector]) -> None:
        packed = self._checked(vectors)
        for index, standing in shards.items():  # a call for each: all at once may be large
            command = self._writing("restore", index, standing, packed)
            self._check(index, self._servers.call([command])[0][0])

    def put(self, name: str, vector: Vector) -> None:
        for index, (answer, _) in enumerate(self._write("put", {name: vector})):
            self._check(index, answer)

    def highest_fence(self) -> int:
        replies = self._servers.call(
            [Command(at.server, ("HGET", at.meta, "fence")) for at in self._shards]
        )
        return max(int(fence or 0) for fence in replies)

    def named_vectors(self) -> set[str]:
        found: set[str] = set()
        for index, at in enumerate(self._shards):
            pattern, cursor = shard(self._run, index, named("*")), "0"
            start = len(pattern) - len(named("*"))
            while True:
                command = ("SCAN", cursor, "MATCH", pattern, "COUNT", SCAN_COUNT)
                reply, keys = self._servers.one(*command, server=at.server)
                found |= {key.decode()[start:] for key in keys}
                if (cursor := reply.decode()) == "0":
                    break
        return found

    def delete(self) -> None:
        keys = ("meta", COUNTED, *self._vectors)
        self._servers.call(
            [
                Command(at.server, ("UNLINK", *(shard(self._run, index, what) for what in keys)))
                for index, at in enumerate(self._shards)
            ]
        )

    def _create(self, vectors: Sequence[Vector]) -> bool:
        """Write first values, in the order of the names, where the run has none."""
        first = dict(zip(self._vectors, vectors, strict=True))
        replies = self._write("create", first)
        if any(stored.decode() != self.layout.digest for _, stored in replies):
            raise LayoutError(f"run {self._run} is there already with another layout")
        return all(answer == b"CREATED" for answer, _ in replies)

    def _write(self, mode: str, vectors: Mapping[str, Vector]) -> list[Reply]:
        """Write vectors to all shards; the reply of each."""
        packed, new = self._checked(vectors), Standing()
        return self._servers.call(
            [self._writing(mode, index, new, packed) for index in range(len(self._shards))]
        )

    def _writing(
        self, mode: str, index: int, standing: Standing, packed: Mapping[str, Vector]
    ) -> Command:
        """The command that writes a shard's part of vectors, and where it stands."""
        at = self._shards[index]
        numbers = ",".join(str(length(self.layout.block_slice(b))) for b in at.blocks)
        head: Head = (self.fence, mode, self._kind, self.layout.digest, at.ids, numbers)
        values = (vector[at.part].tobytes() for vector in packed.values())
        arguments = [*head, _fields(standing), *values]
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


def _standing(meta: Sequence[bytes]) -> Standing:
    """Of a shard's meta hash, as its fields and values one after another."""
    fields = dict(zip(map(bytes.decode, meta[::2]), meta[1::2], strict=True))
    sequences = {
        int(name.removeprefix("seq:")): int(value)
        for name, value in fields.items()
        if name.startswith("seq:")
    }
    return Standing(int(fields["clock"]), int(fields["refused"]), sequences)


def _fields(standing: Standing) -> str:
    """The other way round, for the script that writes them."""
    fields = {"clock": standing.applied, "refused": standing.refused}
    fields |= {f"seq:{stream}": last for stream, last in standing.sequences.items()}
    return ",".join(f"{name},{value}" for name, value in fields.items())


def length(part: slice) -> int:
    return int(part.stop - part.start)


def positions(pairs: Iterable[Sequence[int]]) -> Positions:
    table = np.array(list(pairs), dtype=np.int64)
    return Positions(table[:, 0], table[:, 1])
