"""The parameter store on Redis servers: shards in hashes, updates in Lua."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from app.errors import Fenced, LayoutError
from app.keys import PARAMETERS, shard, slot
from app.layout import Layout, Vector
from app.optimizers.rule import Rule
from app.scripts import Script
from app.store.contract import (
    Answer,
    Fetched,
    Positions,
    Pushed,
    ShardCounts,
    Token,
    check_answers,
    missing,
)
from app.store.servers import Argument, Command, Reply, Servers

Head = tuple[Argument, ...]

CREATE = Script.load("app.store", "create", "prelude")
ANNOUNCE = Script.load("app.store", "announce")
FENCE = Script.load("app.store", "fence")


def push_script(rule: Rule) -> Script:
    """The script that applies ``rule``: the shared protocol and the rule's few lines."""
    protocol = Script.load("app.store", "push", "prelude")
    body = Script.load("app.store", f"push_{rule.name}")
    return Script(body.name, f"{protocol.source}\n{body.source}")


@dataclass(frozen=True)
class _Shard:
    """What every call about one shard needs, worked out once."""

    server: int
    part: slice
    blocks: range
    ids: str
    meta: str
    keys: tuple[str, ...]


class RedisParameterStore:
    """The :class:`app.store.contract.ParameterStore` of one run on Redis servers."""

    def __init__(
        self,
        servers: Servers,
        run: str,
        layout: Layout,
        rule: Rule,
        dtype: np.dtype[np.floating] | type[np.floating] = np.float32,
    ) -> None:
        if layout.n_servers != len(servers):
            raise LayoutError(
                f"the run's parameters lie on {layout.n_servers} servers, {len(servers)} were given"
            )
        self.layout = layout
        self.rule = rule
        self.dtype = np.dtype(dtype).newbyteorder("<")
        self._servers = servers
        self._run = run
        self._push = push_script(rule)
        self._rule_arguments = tuple(repr(number) for number in rule.arguments())
        self._vectors = (PARAMETERS, *(slot(name) for name in rule.slots))
        self._shards = [self._describe(index) for index in range(layout.n_shards)]

    def create(
        self, fence: int, parameters: Vector, slots: Mapping[str, Vector] | None = None
    ) -> bool:
        slots = self.rule.initial_slots(self.layout.size) if slots is None else slots
        vectors = [self._packed(v) for v in (parameters, *(slots[s] for s in self.rule.slots))]
        commands = []
        for at in self._shards:
            numbers = ",".join(str(_length(self.layout.block_slice(b))) for b in at.blocks)
            values = [vector[at.part].tobytes() for vector in vectors]
            head: Head = (fence, self._kind, self.layout.digest, at.ids, numbers)
            commands.append(Command.call(at.server, CREATE, at.keys, [*head, *values]))
        replies = self._servers.call(commands)
        if any(stored.decode() != self.layout.digest for _, stored in replies):
            raise LayoutError(f"run {self._run} is there already with another layout")
        return all(answer == b"CREATED" for answer, _ in replies)

    def announce(self, token: Token) -> Positions:
        arguments = (token.fence, token.stream, token.attempt)
        replies = self._servers.call(
            [Command.call(at.server, ANNOUNCE, [at.meta], arguments) for at in self._shards]
        )
        for index, (answer, _, _) in enumerate(replies):
            if answer == b"NOMODEL":
                raise missing(index)
            if answer == b"FENCED":
                raise Fenced(f"shard {index} knows a newer attempt than {token.attempt}")
        return _positions(reply[1:3] for reply in replies)

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
        positions = []
        for index, at in enumerate(self._shards):
            (clock, sequence), blocks = replies[2 * index], replies[2 * index + 1]
            if clock is None or None in blocks:
                raise missing(index)
            vector[at.part] = np.frombuffer(b"".join(blocks), self.dtype)
            positions.append((int(clock), int(sequence or 0)))
        return Fetched(vector, _positions(positions))

    def push(
        self,
        token: Token,
        sequence: int,
        gradient: Vector,
        *,
        blocks: Sequence[int] | None = None,
        fetch: bool = False,
    ) -> Pushed:
        packed = self._packed(gradient)
        head: Head = (token.fence, token.stream, token.attempt, sequence, int(fetch))
        commands = []
        for at, ids, part in self._parts(blocks):
            arguments = [*head, ids, packed[part].tobytes(), *self._rule_arguments]
            commands.append(Command.call(at.server, self._push, at.keys, arguments))
        replies = self._servers.call(commands)
        answers = tuple(Answer(reply[0].decode()) for reply in replies)
        positions = _positions(reply[1:3] for reply in replies)
        check_answers(answers, positions, sequence)
        return Pushed(answers, positions, self._fresh(replies) if fetch else None)

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

    def drop(self, name: str) -> None:
        self._servers.call(
            [
                Command(at.server, ("UNLINK", shard(self._run, index, name)))
                for index, at in enumerate(self._shards)
            ]
        )

    def raise_fence(self, fence: int) -> None:
        replies = self._servers.call(
            [Command.call(at.server, FENCE, [at.meta], [fence]) for at in self._shards]
        )
        for index, (answer, _) in enumerate(replies):
            if answer == b"NOMODEL":
                raise missing(index)

    def delete(self) -> None:
        whats = ("meta", *self._vectors)
        commands = []
        for index, at in enumerate(self._shards):
            keys = (shard(self._run, index, what) for what in whats)
            commands.append(Command(at.server, ("UNLINK", *keys)))
        self._servers.call(commands)

    @property
    def _kind(self) -> str:
        """The letter of the dtype in the scripts: f or d."""
        return self.dtype.char

    def _describe(self, index: int) -> _Shard:
        blocks = self.layout.blocks(index)
        meta, *keys = (shard(self._run, index, what) for what in ("meta", *self._vectors))
        return _Shard(
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

    def _parts(self, blocks: Sequence[int] | None) -> list[tuple[_Shard, str, slice]]:
        """For each shard the ids to push and where their numbers lie in the gradient."""
        if blocks is None:
            return [(at, at.ids, at.part) for at in self._shards]
        parts, start = [], 0
        for at in self._shards:
            ids = [block for block in blocks if block in at.blocks]
            stop = start + sum(_length(self.layout.block_slice(block)) for block in ids)
            parts.append((at, ",".join(map(str, ids)), slice(start, stop)))
            start = stop
        return parts

    def _fresh(self, replies: Sequence[Reply]) -> Vector:
        return np.frombuffer(b"".join(reply[3] for reply in replies), self.dtype)


def _length(part: slice) -> int:
    return int(part.stop - part.start)


def _positions(pairs: Iterable[Sequence[int]]) -> Positions:
    table = np.array(list(pairs), dtype=np.int64)
    return Positions(table[:, 0], table[:, 1])
