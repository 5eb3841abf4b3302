"""Shards on Redis servers, which parameters and vectors share: to read, copy and restore them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from distbelief.app.client.commands import Command
from distbelief.app.client.pacing import call_paced
from distbelief.app.client.scan import scan_hash, scan_keys
from distbelief.app.client.scripts import Script
from distbelief.app.client.wire import ReplyBuffer, raw
from distbelief.app.errors import Fenced
from distbelief.app.layout.keys import COUNTED, PARAMETERS, named, shard, waiting
from distbelief.app.layout.rows import NO_TABLES, Ids, TableRows, Tables
from distbelief.app.layout.tensors import Vector
from distbelief.app.settings.downpour import Wire
from distbelief.app.store.contract.coding import Coded, check_coding, coded_bytes, word
from distbelief.app.store.contract.parameters import (
    Fetched,
    ShardCounts,
    ShardState,
    behind,
    missing,
)
from distbelief.app.store.contract.standings import Standing, Standings
from distbelief.app.store.contract.tables import MARK, Begin, Request, rows_in
from distbelief.app.store.native.coding import NATIVE
from distbelief.app.store.redis.calls import ShardCalls
from distbelief.app.store.redis.costs import longest
from distbelief.app.store.redis.meta import positions, shard_state_of

#: Where the values are in the reply to a fetch.
VALUES = 3
#: The fields of meta that say where a shard stands.
HEAD = ("fence", "change")
#: Scans of a table that a server may break off by a restart, one after another.
MOST_SCANS = 3

FETCH = Script.load(
    *("distbelief.app.store", "fetch", "prelude", "behind", "coding"),
    twin="fetch",
    reads=True,
    hands_over=True,
)
FETCH_ROWS = Script.load(
    *("distbelief.app.store", "fetch_rows", "prelude", "behind", "tables"),
    twin="fetch_rows",
    reads=True,
)
COPY = Script.load("distbelief.app.store", "copy", "changes")
DROP = Script.load("distbelief.app.store", "drop", "changes")
RENAME = Script.load("distbelief.app.store", "rename", "changes")
FENCE = Script.load("distbelief.app.store", "fence")


class RedisShards(ShardCalls):
    """The ``ShardStore`` of one run on Redis servers."""

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
        request = Request.of(self.layout, rows)
        vector = np.empty(self.layout.size, self.dtype)
        n_dense = self.layout.n_dense_shards
        if known is None:
            known = self._known
        parts = [self._arriving(wire, vector[at.part]) for at in self._shards[:n_dense]]
        commands = self._reads(name, stream, known, word(wire), parts)
        for index, at in enumerate(self._shards[n_dense:], n_dense):
            arguments = (known[index].fence, known[index].change, stream, *request.asked(index))
            commands.append(Command.call(at.server, FETCH_ROWS, self._keys(index, name), arguments))
        at_a_time = self._at_a_time(lambda of: of.sending(coded=wire != "float32"))
        if rows:
            of_rows = self._rows_at_a_time(sum(map(len, rows)))
            at_a_time = [min(each) for each in zip(at_a_time, of_rows, strict=True)]
        replies = call_paced(self._servers, commands, at_a_time)
        stood: list[tuple[int, int]] = []
        for at, part, reply in zip(self._shards, parts, replies[:n_dense], strict=False):
            answer, clock, sequence, values = reply
            length = values if isinstance(values, int) else len(values)
            _check_read(len(stood), answer, whole=length == part.nbytes)
            if isinstance(values, bytes):
                part[...] = np.frombuffer(values, np.uint8)
            self._decode(wire, part, vector[at.part])
            stood.append((clock, sequence))
        of_tables = replies[n_dense:]
        for answer, clock, sequence, _, _ in of_tables:
            _check_read(len(stood), answer)
            stood.append((clock, sequence))
        tables = request.rows([reply[3:] for reply in of_tables], self.dtype, self._beginning(name))
        return Fetched(vector, positions(stood), tables)

    def _rows_at_a_time(self, n_rows: int) -> list[int]:
        """For each server how many calls about ``n_rows`` may be one behind another.

        To read a row costs no more than to change it.
        """
        per_shard = max(1, math.ceil(n_rows / self.layout.n_table_shards))
        most = longest(self._servers, lambda of: of.row)
        return [max(1, rows_at_once // per_shard) for rows_at_once in most]

    @property
    def _known(self) -> Standings:
        """Where the shards must stand for who acts under the store's fence."""
        shards = range(len(self._shards))
        return tuple(self._acknowledged.under(self.fence, index) for index in shards)

    def _arriving(self, wire: Wire, part: Vector) -> Coded:
        """Where the bytes of a part of a vector arrive: right there, if they are its numbers."""
        if wire == "float32":
            return part.view(np.uint8)
        return np.empty(coded_bytes(wire, part.size), np.uint8)

    def _decode(self, wire: Wire, arrived: Coded, part: Vector) -> None:
        if wire != "float32":
            NATIVE.decode(wire, arrived, part)

    def _reads(
        self, name: str, stream: int, known: Standings, coding: str, parts: Sequence[Coded]
    ) -> list[Command]:
        """Commands that read a vector's dense shards, right into ``parts`` without tables.

        Rows are many short strings, which redis-py reads faster, all or none.
        """
        commands = []
        for index, at in enumerate(self._shards[: self.layout.n_dense_shards]):
            keys = self._keys(index, name)
            into = None if self.layout.tables else ReplyBuffer(raw(parts[index]), skip=VALUES)
            head = (known[index].fence, known[index].change)
            arguments = (*head, stream, at.blocks[0], at.blocks[-1], coding)
            commands.append(Command.call(at.server, FETCH, keys, arguments, into))
        return commands

    def _beginning(self, name: str) -> Begin:
        """The first values of a vector in tables."""
        return lambda drawn: drawn

    def touched(self, name: str = PARAMETERS) -> tuple[TableRows, ...]:
        blocks: dict[int, bytes] = {}
        for index in range(self.layout.n_dense_shards, self.layout.n_shards):
            key, server = shard(self._run, index, name), self._shards[index].server
            for _ in range(MOST_SCANS):
                found = dict[bytes, bytes]()
                fields = self._servers.one("HLEN", key, server=server)
                for page in scan_hash(self._servers, key, server=server):
                    found |= dict(zip(page[::2], page[1::2], strict=True))
                # A server that loses data meanwhile ends a scan without a word, and one that is
                # restarted goes on in another order.
                known = self._acknowledged.under(self.fence, index)  # others change it meanwhile
                meta = self._servers.one("HMGET", self._shards[index].meta, *HEAD, server=server)
                self._stands(index, known, *meta)
                if len(found) >= fields > 0:
                    break
            else:
                raise missing(index)
            found.pop(MARK.encode(), None)
            blocks |= {int(block): value for block, value in found.items()}
        return rows_in(self.layout, blocks, self.dtype)

    def stored_bytes(self) -> int:
        usage = [
            Command(at.server, ("MEMORY", "USAGE", key)) for at in self._shards for key in at.keys
        ]
        return sum(size or 0 for size in self._servers.call(usage))

    def counts(self) -> list[ShardCounts]:
        known = self._known
        replies = self._servers.call(
            [
                Command(at.server, ("HMGET", at.meta, *HEAD, "clock", "refused"))
                for at in self._shards
            ]
        )
        for index, reply in enumerate(replies):
            self._stands(index, known[index], *reply[:2])
        return [ShardCounts(int(clock), int(refused)) for _, _, clock, refused in replies]

    def copy(self, source: str, target: str) -> None:
        self.freeze({source: target})

    def freeze(self, copies: Mapping[str, str]) -> list[ShardState]:
        names = [name for pair in copies.items() for name in pair]
        number = self._acknowledged.next_number()
        commands = [
            Command.call(at.server, COPY, self._keys(index, *names), self._head(index, number))
            for index, at in enumerate(self._shards)
        ]
        at_a_time = self._at_a_time(lambda of: of.copy * max(1, len(copies)))
        if self.layout.tables:  # one of their shards may take as long as a call may
            at_a_time = [1] * self.layout.n_servers
        replies = call_paced(self._servers, commands, at_a_time)
        self._settle((index, number, answer) for index, (answer, _) in enumerate(replies))
        return [shard_state_of(meta) for _, meta in replies]

    def rename(self, name: str, new: str) -> None:
        self._change(RENAME, name, new)

    def drop(self, *names: str) -> None:
        if names:
            self._change(DROP, *names)

    def _change(self, script: Script, *names: str) -> None:
        """Have every shard make a change of vectors that takes it no time."""
        number = self._acknowledged.next_number()
        replies = self._servers.call(
            [
                Command.call(
                    at.server, script, self._keys(index, *names), self._head(index, number)
                )
                for index, at in enumerate(self._shards)
            ]
        )
        self._settle((index, number, answer) for index, answer in enumerate(replies))

    def raise_fence(self, fence: int) -> None:
        self.fence = fence
        replies = self._servers.call(
            [
                Command.call(at.server, FENCE, [at.meta], (fence, known.fence, known.change))
                for at, known in zip(self._shards, self.standings, strict=True)
            ]
        )
        for index, reply in enumerate(replies):
            if reply == [b"OK", fence]:
                self._acknowledged.note(index, max(self.standings[index], Standing(fence)))
        for index, (answer, in_force) in enumerate(replies):
            self._check(index, answer)
            if in_force > fence:
                raise Fenced(f"shard {index} knows the newer fence {in_force}")

    def shard_states(self, *names: str) -> list[ShardState | None]:
        names = (*self._vectors, *names)
        commands = []
        for index, at in enumerate(self._shards):
            commands.append(Command(at.server, ("HGETALL", at.meta)))
            commands += [Command(at.server, ("HLEN", key)) for key in self._keys(index, *names)[1:]]
        replies, width = self._servers.call(commands), 1 + len(names)
        shard_states = []
        for index, at in enumerate(self._shards):
            meta, *lengths = replies[index * width : (index + 1) * width]
            fields = dict(zip(meta[::2], meta[1::2], strict=True))
            ours = fields.get(b"layout") == self.layout.digest.encode()
            # A table shard holds the mark, and blocks as they were touched.
            full = set(lengths) == {len(at.blocks)} if at.blocks else 0 not in lengths
            whole = ours and full
            shard_states.append(shard_state_of(meta) if whole else None)
        return shard_states

    def restore(
        self,
        shards: Mapping[int, ShardState],
        vectors: Mapping[str, Vector],
        tables: Mapping[str, Tables] = NO_TABLES,
    ) -> None:
        self._write("restore", shards, vectors, tables)

    def put(self, name: str, vector: Vector, tables: Tables = ()) -> None:
        self._write("put", self._everywhere, {name: vector}, {name: tables})

    def highest_fence(self) -> int:
        replies = self._servers.call(
            [Command(at.server, ("HGET", at.meta, "fence")) for at in self._shards]
        )
        return max(int(fence or 0) for fence in replies)

    def named_vectors(self) -> set[str]:
        found: set[str] = set()
        for index, at in enumerate(self._shards):
            pattern = shard(self._run, index, named("*"))
            for keys in scan_keys(self._servers, pattern, server=at.server):
                found |= {key.decode()[len(pattern) - len(named("*")) :] for key in keys}
        return found

    def delete(self) -> None:
        keys = ("meta", COUNTED, *self._vectors, *map(waiting, self._vectors))
        self._servers.call(
            [
                Command(at.server, ("UNLINK", *(shard(self._run, index, what) for what in keys)))
                for index, at in enumerate(self._shards)
            ]
        )


def _check_read(shard: int, answer: bytes, *, whole: bool = True) -> None:
    """Raise for what a shard answers that cannot give what it is known to have had."""
    if answer == b"BEHIND":
        raise behind(shard)
    if answer != b"OK" or not whole:
        raise missing(shard)
