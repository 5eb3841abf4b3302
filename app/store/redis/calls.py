"""Calls about the shards of one run on Redis servers: keys, commands, the meaning of errors."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from distbelief.app.client.commands import Command, Reply
from distbelief.app.client.scripts import Script
from distbelief.app.client.servers import Servers
from distbelief.app.client.wire import Argument, raw
from distbelief.app.errors import Fenced, LayoutError, ServerRefused
from distbelief.app.layout.keys import COUNTED, PARAMETERS, TRIAL_S, shard, waiting
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.rows import NO_TABLES, Tables
from distbelief.app.layout.tensors import Vector
from distbelief.app.store.contract.checks import check_values
from distbelief.app.store.contract.parameters import ShardState, behind, missing
from distbelief.app.store.contract.standings import Acknowledged, Standing, Standings
from distbelief.app.store.contract.tables import MARK, blocks_on
from distbelief.app.store.redis.costs import Cost, longest
from distbelief.app.store.redis.meta import fields_of, standing_of
from distbelief.app.store.redis.writing import (
    PIECE_BYTES,
    WINDOW_BYTES,
    Piece,
    Sent,
    cut,
    windows,
)

Head = tuple[Argument, ...]

#: Times that a shard is written whose server loses pieces before it has all.
MOST_WRITES = 3

#: Answers to a change that was made.
DONE = (b"OK", b"CREATED")

CREATE = Script.load("distbelief.app.store", "create", "changes", "prelude")


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

    ``vectors`` are the names of those that exist from the beginning; more than
    ``piece_bytes`` of whole vectors are not written at once.
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
        piece_bytes: int = PIECE_BYTES,
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
        self._piece_bytes = piece_bytes
        self._shards = [self._describe(index) for index in range(layout.n_shards)]
        self._acknowledged = Acknowledged(layout.n_shards)

    @property
    def standings(self) -> Standings:
        return self._acknowledged.standings

    def accept(self, found: Sequence[ShardState | None]) -> None:
        for index, state in enumerate(found):
            self._acknowledged.note(index, state.standing if state is not None else Standing())

    def expire(self, *names: str, seconds: float = TRIAL_S) -> None:
        """Have the servers remove the shards after a while: those that are only tried.

        With ``names`` those vectors, too. Where we may not say so, they stay until deleted.
        """
        keys, after_ms = ("meta", COUNTED, *self._vectors, *names), round(1000 * seconds)
        with suppress(ServerRefused):
            self._servers.call(
                [
                    Command(at.server, ("PEXPIRE", shard(self._run, index, what), after_ms))
                    for index, at in enumerate(self._shards)
                    for what in keys
                ]
            )

    def _create(self, vectors: Sequence[Vector], tables: Mapping[str, Tables] = NO_TABLES) -> bool:
        """Write first values, in the order of the names, where the run has none."""
        first = dict(zip(self._vectors, vectors, strict=True))
        replies = self._write("create", self._everywhere, first, tables)
        if any(stored.decode() != self.layout.digest for _, stored in replies):
            raise LayoutError(f"run {self._run} is there already with another layout")
        return all(answer == b"CREATED" for answer, _ in replies)

    @property
    def _everywhere(self) -> dict[int, ShardState]:
        """Every shard, as it stands at the beginning."""
        return dict.fromkeys(range(len(self._shards)), ShardState())

    def _write(
        self,
        mode: str,
        shards: Mapping[int, ShardState],
        vectors: Mapping[str, Vector],
        tables: Mapping[str, Tables],
    ) -> list[Reply]:
        """Write vectors to shards, and where these stand; the last reply of each.

        Raises Fenced, and ModelMissing for a shard that loses one piece after another.
        """
        packed, replies = self._checked(vectors), dict[int, Reply]()
        number = self._acknowledged.next_number()
        for _ in range(MOST_WRITES):
            left = {index: state for index, state in shards.items() if index not in replies}
            if not left:
                break
            self._write_once(mode, left, packed, tables, number, replies)
        for index in shards.keys() - replies.keys():
            raise missing(index)
        self._settle((index, number, replies[index][0]) for index in shards)
        return [replies[index] for index in shards]

    def _write_once(
        self,
        mode: str,
        shards: Mapping[int, ShardState],
        packed: Mapping[str, Vector],
        tables: Mapping[str, Tables],
        number: int,
        replies: dict[int, Reply],
    ) -> None:
        """Write to each shard until it has answered for good, or lost what came before."""
        over, write = set[int](), uuid.uuid4().hex

        def sent_to(server: int) -> Iterator[Sent]:
            for index in shards:
                if self._shards[index].server == server:
                    for piece in self._pieces(index, packed, tables):
                        if index not in over:
                            head = (*self._head(index, number), mode)
                            yield self._sent(head, index, shards[index], piece, write, packed)

        servers = [sent_to(server) for server in range(len(self._servers))]
        for window in windows(servers, WINDOW_BYTES):
            answered = self._servers.call([each.command for each in window])
            for sent, reply in zip(window, answered, strict=True):
                self._check(sent.shard, reply[0])
                if reply[0] != b"MORE":
                    over.add(sent.shard)
                    if reply[0] != b"LOST":
                        replies[sent.shard] = reply

    def _pieces(
        self, index: int, packed: Mapping[str, Vector], tables: Mapping[str, Tables]
    ) -> list[Piece]:
        """A shard's part of vectors."""
        at, width = self._shards[index], self.dtype.itemsize
        if at.blocks:
            numbers = [length(self.layout.block_slice(block)) for block in at.blocks]
            values = [raw(vector[at.part]) for vector in packed.values()]
            return cut(at.blocks, numbers, values, width, self._piece_bytes)
        parts = [blocks_on(self.layout, index, tables.get(v, ()), self.dtype) for v in packed]
        values = [memoryview(part.values) for part in parts]
        ids, numbers = [MARK, *map(str, parts[0].ids)], [0, *parts[0].numbers]
        return cut(ids, numbers, values, width, self._piece_bytes)

    def _sent(
        self,
        head: Head,
        index: int,
        shard_state: ShardState,
        piece: Piece,
        write: str,
        names: Iterable[str],
    ) -> Sent:
        """The command that writes a piece, and with the last one where the shard stands."""
        keys, in_pieces = self._keys(index, *names), bool(piece.before or piece.more)
        if in_pieces:
            keys += self._keys(index, *map(waiting, names))[1:]
        what: Head = (self._kind, self.layout.digest, piece.ids, piece.numbers)
        name = write if in_pieces else ""
        arguments = (*head, *what, fields_of(shard_state), name, *piece.arguments)
        command = Command.call(self._shards[index].server, CREATE, keys, arguments)
        return Sent(index, command, piece.nbytes)

    def _checked(self, vectors: Mapping[str, Vector]) -> dict[str, Vector]:
        """In the wire's dtype, and finite."""
        packed = {name: self._packed(vector) for name, vector in vectors.items()}
        check_values(self.layout, packed.values())
        return packed

    def _check(self, index: int, answer: Reply) -> None:
        """Raise for the answers after which there is no going on."""
        if answer == b"NOMODEL":
            raise missing(index)
        if answer == b"BEHIND":
            raise behind(index)
        if answer == b"FENCED":
            raise Fenced(f"shard {index} is fenced: a newer coordinator took over")

    def _head(self, index: int, number: int = 0) -> Head:
        """What a call of the coordinator begins with; see ``changes.lua``."""
        return (self.fence, self._acknowledged.under(self.fence, index).change, number)

    def _settle(self, changes: Iterable[tuple[int, int, Reply]]) -> None:
        """Note which changes (shard, number, answer) were made, then raise for the others."""
        settled = [*changes]
        for index, number, answer in settled:
            if answer in DONE:
                self._acknowledged.note(index, Standing(self.fence, number))
        for index, _, answer in settled:
            self._check(index, answer)

    def _stands(
        self, index: int, known: Standing, fence: bytes | None, change: bytes | None
    ) -> None:
        """Check what a plain command read of a shard's meta hash, which was ``known`` before."""
        if fence is None:
            raise missing(index)
        if standing_of(fence, change) < known:
            raise behind(index)

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
