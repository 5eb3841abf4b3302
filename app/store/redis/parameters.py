"""The parameter store on Redis servers: shards in hashes, updates in Lua."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files

import numpy as np

from distbelief.app.client.commands import Command
from distbelief.app.client.pacing import call_paced
from distbelief.app.client.scripts import Script
from distbelief.app.client.servers import Servers
from distbelief.app.client.wire import Argument, ReplyBuffer, raw
from distbelief.app.errors import Fenced
from distbelief.app.layout.keys import PARAMETERS, slot
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.rows import NO_TABLES, Tables
from distbelief.app.layout.tensors import Vector
from distbelief.app.optimizers.registry import script_of
from distbelief.app.optimizers.rule import Rule
from distbelief.app.settings.downpour import Wire
from distbelief.app.store.contract.checks import check_answers, check_gradient, check_rows
from distbelief.app.store.contract.coding import Coded, check_coding, coded_bytes, word
from distbelief.app.store.contract.parameters import (
    Answer,
    Counts,
    Positions,
    Pushed,
    Token,
    behind,
    missing,
)
from distbelief.app.store.contract.tables import Begin, beginning, packed_gradient
from distbelief.app.store.native.coding import NATIVE
from distbelief.app.store.redis.calls import Head, ShardKeys, length
from distbelief.app.store.redis.costs import LEAST_APART
from distbelief.app.store.redis.meta import positions
from distbelief.app.store.redis.shards import RedisShards
from distbelief.app.store.redis.writing import PIECE_BYTES

#: Where the fresh parameters are in the reply to a push.
FRESH = 3

#: The files of a push of dense numbers, and of one of rows.
SHELLS = {"push": ("push",), "push_rows": ("tables", "push_rows")}

ANNOUNCE = Script.load("distbelief.app.store", "announce", twin="announce")


def push_script(rule: Rule, shell: str = "push") -> Script:
    """The script that applies ``rule``: the protocol, the ``shell``, the rule's few lines."""
    folder = files("distbelief.app.store") / "lua"
    shared = [folder / f"{name}.lua" for name in ("prelude", "coding", "protocol", *SHELLS[shell])]
    twin = f"{shell}_{rule.name}"
    return Script.join(f"push_{rule.name}", *shared, script_of(rule), twin=twin, hands_over=True)


class RedisParameterStore(RedisShards):
    """The ``ParameterStore`` of one run on Redis servers."""

    def __init__(
        self,
        servers: Servers,
        run: str,
        layout: Layout,
        rule: Rule,
        dtype: np.dtype[np.floating] | type[np.floating] = np.float32,
        *,
        fence: int,
        piece_bytes: int = PIECE_BYTES,
    ) -> None:
        vectors = (PARAMETERS, *(slot(name) for name in rule.slots))
        super().__init__(servers, run, layout, dtype, vectors, fence=fence, piece_bytes=piece_bytes)
        self.rule = rule
        self._push = push_script(rule)
        self._push_rows = push_script(rule, "push_rows")

    def create(
        self,
        parameters: Vector,
        slots: Mapping[str, Vector] | None = None,
        tables: Mapping[str, Tables] = NO_TABLES,
    ) -> bool:
        slots = self.rule.initial_slots(parameters.astype(np.float64)) if slots is None else slots
        return self._create([parameters, *(slots[name] for name in self.rule.slots)], tables)

    def _beginning(self, name: str) -> Begin:
        return beginning(self.rule, name)

    def announce(self, token: Token) -> Positions:
        arguments = (token.fence, token.stream, token.attempt)
        replies = self._servers.call(
            [Command.call(at.server, ANNOUNCE, [at.meta], arguments) for at in self._shards]
        )
        for index, (answer, _, _) in enumerate(replies):
            if answer == b"NOMODEL":
                raise missing(index)
            if answer == b"BEHIND":
                raise behind(index)
            if answer == b"FENCED":
                raise Fenced(f"shard {index} knows a newer attempt than {token.attempt}")
        return positions(reply[1:3] for reply in replies)

    def sequences(self, n_streams: int) -> list[int]:
        at, fields = self._shards[0], (f"seq:{stream}" for stream in range(n_streams))
        head = ("HMGET", at.meta, "fence", "change")
        known = self._known[0]
        fence, change, *last = self._servers.one(*head, *fields, server=at.server)
        self._stands(0, known, fence, change)
        return [int(sequence or 0) for sequence in last]

    def push(
        self,
        token: Token,
        sequence: int,
        gradient: Vector,
        *,
        blocks: Sequence[int] | None = None,
        fetch: bool = False,
        base: Counts | None = None,
        rows: Tables = (),
        share: float = 1.0,
        span: int = 1,
        wire: Wire = "float32",
        residual: Vector | None = None,
    ) -> Pushed:
        check_gradient(self.layout, gradient, blocks)
        check_rows(self.layout, rows)
        check_coding(wire, self.dtype, rows=bool(self.layout.tables))
        packed = self._packed(gradient)
        fresh = np.empty_like(packed) if fetch else None
        dense = self._parts(blocks)
        arriving = [self._arriving(wire, fresh[part]) for *_, part in dense if fresh is not None]
        pushed: list[tuple[Script, ShardKeys, tuple[Argument, Argument]]] = []
        for at, ids, part in dense:
            left = None if residual is None else residual[part]
            pushed.append((self._push, at, (ids, raw(_coded(wire, packed[part], left)))))
        by_row = packed_gradient(self.layout, rows, self.dtype, wire)
        tables = self._shards[self.layout.n_dense_shards :]
        for at, (of, numbers) in zip(tables, by_row, strict=True):
            pushed.append((self._push_rows, at, (of, memoryview(numbers))))
        number = sequence if span == 1 else f"{sequence - span + 1}-{sequence}"
        head: Head = (token.fence, token.stream, token.attempt, number, int(fetch))
        rate, decay, *others = (repr(x) for x in self.rule.paced(share).arguments())
        commands = []
        for index, (script, at, about) in enumerate(pushed):
            since = "" if base is None else int(base[index])
            arguments = [*head, since, *about, rate, decay, word(wire), *others]
            into = ReplyBuffer(raw(arriving[index]), FRESH) if index < len(arriving) else None
            commands.append(Command.call(at.server, script, at.keys, arguments, into))
        replies = call_paced(self._servers, commands, self._pushes_at_a_time(rows, wire))
        answers = tuple(Answer(reply[0].decode()) for reply in replies)
        stand = positions(reply[1:3] for reply in replies)
        check_answers(answers, stand, sequence)
        for (*_, part), coded in zip(dense, arriving, strict=False):
            assert fresh is not None
            self._decode(wire, coded, fresh[part])
        return Pushed(answers, stand, fresh)

    def _pushes_at_a_time(self, rows: Tables, wire: Wire) -> list[int]:
        """For each server how many of a push's calls may be one behind another."""
        if rows:
            return self._rows_at_a_time(sum(len(each.ids) for each in rows))
        coded, numbers = wire != "float32", length(self._shards[0].part)
        n_bytes = coded_bytes(wire, numbers) if coded else numbers * self.dtype.itemsize
        if n_bytes >= LEAST_APART:
            return [len(self._shards)] * self.layout.n_servers
        return self._at_a_time(lambda of: of.pushing(len(self.rule.slots), coded=coded))

    def _parts(self, blocks: Sequence[int] | None) -> list[tuple[ShardKeys, str, slice]]:
        """For each dense shard the ids to push and where their numbers lie in the gradient."""
        dense = self._shards[: self.layout.n_dense_shards]
        if blocks is None:
            return [(at, at.ids, at.part) for at in dense]
        parts, start = [], 0
        for at in dense:
            ids = [block for block in blocks if block in at.blocks]
            stop = start + sum(length(self.layout.block_slice(block)) for block in ids)
            parts.append((at, ",".join(map(str, ids)), slice(start, stop)))
            start = stop
        return parts


def _coded(wire: Wire, gradient: Vector, residual: Vector | None) -> Coded:
    """A shard's part of a gradient as it is sent."""
    if residual is None:
        return NATIVE.encode(wire, gradient)
    return NATIVE.feed_back(wire, gradient, residual)
