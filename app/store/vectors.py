"""The vector store on Redis servers: what Sandblaster's coordinator asks the shards to do.

A call covers a range of blocks small enough that its script stays near ten milliseconds;
ranges, shards and servers are all in flight together. What crosses the wire is names,
coefficients and sums, never a vector (except a portion's gradient, from a worker).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from app.errors import Fenced, NotFinite, ServerRefused
from app.keys import COUNTED, shard
from app.layout import Vector
from app.scripts import Script
from app.store.calls import Head, length
from app.store.checks import check_gradient
from app.store.contract import Counted
from app.store.servers import Command
from app.store.shards import RedisShards

BEGIN = Script.load("app.store", "begin")
ACCUMULATE = Script.load("app.store", "accumulate", "prelude")
DOTS = Script.load("app.store", "dots", "prelude")
COMBINE = Script.load("app.store", "combine", "prelude")

#: How long a script may hold its server, and what interpreted Lua needs for one number.
CALL_NS = 10e6
UNPACK_NS, MULTIPLY_NS, WRITE_NS = 35, 20, 70


class RedisVectorStore(RedisShards):
    """The :class:`app.store.contract.VectorStore` of one run on Redis servers."""

    def create(self, parameters: Vector) -> bool:
        return self._create([parameters])

    def dots(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        if not pairs:
            return []
        names = list(dict.fromkeys(name for pair in pairs for name in pair))
        place = {name: index + 1 for index, name in enumerate(names)}
        asked = ",".join(f"{place[a]}:{place[b]}" for a, b in pairs)
        cost = UNPACK_NS * len(names) + MULTIPLY_NS * len(pairs)
        commands, shards = [], []
        for index, blocks in self._ranges(cost):
            keys = self._keys(index, *names)
            arguments = (self.fence, blocks[0], blocks[-1], asked)
            commands.append(Command.call(self._shards[index].server, DOTS, keys, arguments))
            shards.append(index)
        replies = self._servers.call(commands)
        for index, (answer, _) in zip(shards, replies, strict=True):
            self._check(index, answer)
        table = np.array([np.frombuffer(sums, "<f8") for _, sums in replies])
        return [_total(column) for column in table.T]

    def combine(
        self, out: str, terms: Sequence[tuple[float, str]], *, constant: float = 0.0
    ) -> None:
        if any(name == out for _, name in terms):
            raise ServerRefused(f"combine must not write over its own term {out}")
        coefficients = [repr(float(coefficient)) for coefficient, _ in terms]
        commands, shards = [], []
        for index, blocks in self._ranges(WRITE_NS + (UNPACK_NS + MULTIPLY_NS) * len(terms)):
            keys = self._keys(index, out, *(name for _, name in terms))
            last = length(self.layout.block_slice(blocks[-1]))
            head: Head = (self.fence, blocks[0], blocks[-1], self.layout.block_numbers, last)
            arguments = [*head, repr(float(constant)), *coefficients]
            commands.append(Command.call(self._shards[index].server, COMBINE, keys, arguments))
            shards.append(index)
        for index, answer in zip(shards, self._servers.call(commands), strict=True):
            self._check(index, answer)
            if answer == b"REFUSED":
                raise NotFinite(f"{out} would hold numbers that are not finite")

    def begin(self, evaluation: int, gradient: str) -> None:
        commands = [
            Command.call(
                at.server, BEGIN, self._keys(index, COUNTED, gradient), (self.fence, evaluation)
            )
            for index, at in enumerate(self._shards)
        ]
        for index, answer in enumerate(self._servers.call(commands)):
            self._check(index, answer)
            if answer == b"EXPIRED":
                raise Fenced(f"shard {index} is at a later evaluation than {evaluation}")

    def counted(self, evaluation: int) -> list[int]:
        commands = []
        for index, at in enumerate(self._shards):
            commands.append(Command(at.server, ("HGET", at.meta, "evaluation")))
            bits = shard(self._run, index, COUNTED)
            commands.append(Command(at.server, ("BITCOUNT", bits)))
        replies = self._servers.call(commands)
        pairs = zip(replies[::2], replies[1::2], strict=True)
        return [count if current == str(evaluation).encode() else 0 for current, count in pairs]

    def accumulate(
        self, fence: int, evaluation: int, gradient: str, portion: int, values: Vector
    ) -> tuple[Counted, ...]:
        check_gradient(self.layout, values, None)
        packed = self._packed(values)
        commands = []
        for index, at in enumerate(self._shards):
            head: Head = (fence, evaluation, portion, at.blocks[0], at.blocks[-1])
            arguments = [*head, self.layout.block_numbers, packed[at.part].tobytes()]
            keys = self._keys(index, COUNTED, gradient)
            commands.append(Command.call(at.server, ACCUMULATE, keys, arguments))
        replies = self._servers.call(commands)
        for index, answer in enumerate(replies):
            self._check(index, answer)
        return tuple(Counted(answer.decode()) for answer in replies)

    def _ranges(self, cost_ns: float) -> Iterator[tuple[int, range]]:
        """Ranges of blocks, each within one shard and one call's time."""
        numbers = CALL_NS / cost_ns
        at_a_time = max(1, int(numbers / self.layout.block_numbers))
        for index, at in enumerate(self._shards):
            for first in range(0, len(at.blocks), at_a_time):
                yield index, at.blocks[first : first + at_a_time]


def _total(sums: Vector) -> float:
    """The sum, rounded once, so that it does not depend on how the ranges are ordered."""
    try:
        return math.fsum(sums)
    except (OverflowError, ValueError):  # beyond a double, or infinities of both signs
        with np.errstate(over="ignore", invalid="ignore"):
            return float(np.sum(sums))
