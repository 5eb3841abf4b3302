"""What parameters and vectors on Redis servers have in common: shards, and moving them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from app.errors import Fenced, LayoutError
from app.keys import COUNTED, PARAMETERS, named, shard
from app.layout import Layout, Vector
from app.rows import NO_TABLES, Ids, TableRows, Tables
from app.scripts import Script
from app.store.checks import check_values
from app.store.contract import Fetched, ShardCounts, Standing, missing
from app.store.meta import fields_of, positions, standing_of
from app.store.servers import Argument, Command, Reply, Servers
from app.store.tables import MARK, Request, blocks_on, rows_in

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

    def fetch(
        self, name: str = PARAMETERS, *, stream: int = 0, rows: Sequence[Ids] = ()
    ) -> Fetched:
        request, commands = Request.of(self.layout, rows), []
        for index, at in enumerate(self._shards):
            # The position is read first: a push in between is then counted as staleness
            # that was not there, never the other way round.
            commands.append(
                Command(at.server, ("HMGET", at.meta, "clock", f"seq:{stream}")),
            )
            key = shard(self._run, index, name)
            fields = at.blocks or request.fields(index)
            commands.append(Command(at.server, ("HMGET", key, *fields)))
        replies = self._servers.call(commands)
        vector = np.empty(self.layout.size, self.dtype)
        stood = []
        for index, at in enumerate(self._shards):
            (clock, sequence), blocks = replies[2 * index], replies[2 * index + 1]
            # Of a table shard only the mark must be there.
            if clock is None or None in (blocks if at.blocks else blocks[:1]):
                raise missing(index)
            if at.blocks:
                vector[at.part] = np.frombuffer(b"".join(blocks), self.dtype)
            stood.append((int(clock), int(sequence or 0)))
        of_tables = replies[2 * self.layout.n_dense_shards + 1 :: 2]
        return Fetched(vector, positions(stood), request.rows(of_tables, self.dtype))

    def touched(self, name: str = PARAMETERS) -> tuple[TableRows, ...]:
        blocks: dict[int, bytes] = {}
        for index in range(self.layout.n_dense_shards, self.layout.n_shards):
            key = shard(self._run, index, name)
            for page in self._scanned(index, ("HSCAN", key), ("COUNT", SCAN_COUNT)):
                found = dict(zip(page[::2], page[1::2], strict=True))
                found.pop(MARK.encode(), None)
                blocks |= {int(block): value for block, value in found.items()}
        return rows_in(self.layout, blocks, self.dtype)

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
        return [standing_of(meta) for _, meta in replies]

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
            # A table shard holds the mark, and blocks as they were touched.
            full = set(lengths) == {len(at.blocks)} if at.blocks else 0 not in lengths
            whole = ours and full
            standings.append(standing_of(meta) if whole else None)
        return standings

    def restore(
        self,
        shards: Mapping[int, Standing],
        vectors: Mapping[str, Vector],
        tables: Mapping[str, Tables] = NO_TABLES,
    ) -> None:
        packed = self._checked(vectors)
        for index, standing in shards.items():  # a call for each: all at once may be large
            call = [self._writing("restore", index, standing, packed, tables)]
            self._check(index, self._servers.call(call)[0][0])

    def put(self, name: str, vector: Vector, tables: Tables = ()) -> None:
        for index, (answer, _) in enumerate(self._write("put", {name: vector}, {name: tables})):
            self._check(index, answer)

    def highest_fence(self) -> int:
        replies = self._servers.call(
            [Command(at.server, ("HGET", at.meta, "fence")) for at in self._shards]
        )
        return max(int(fence or 0) for fence in replies)

    def named_vectors(self) -> set[str]:
        found: set[str] = set()
        for index in range(len(self._shards)):
            pattern = shard(self._run, index, named("*"))
            for keys in self._scanned(index, ("SCAN",), ("MATCH", pattern, "COUNT", SCAN_COUNT)):
                found |= {key.decode()[len(pattern) - len(named("*")) :] for key in keys}
        return found

    def delete(self) -> None:
        keys = ("meta", COUNTED, *self._vectors)
        self._servers.call(
            [
                Command(at.server, ("UNLINK", *(shard(self._run, index, what) for what in keys)))
                for index, at in enumerate(self._shards)
            ]
        )

    def _scanned(self, index: int, head: Head, tail: Head) -> Iterator[Sequence[bytes]]:
        """The pages of a scan on the server of a shard."""
        cursor = b"0"
        while True:
            command = (*head, cursor, *tail)
            cursor, page = self._servers.one(*command, server=self._shards[index].server)
            yield page
            if cursor == b"0":
                return

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
        packed, new, indices = self._checked(vectors), Standing(), range(len(self._shards))
        return self._servers.call(
            [self._writing(mode, index, new, packed, tables) for index in indices]
        )

    def _writing(
        self,
        mode: str,
        index: int,
        standing: Standing,
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
        arguments = [*head, fields_of(standing), *values]
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


def length(part: slice) -> int:
    return int(part.stop - part.start)
