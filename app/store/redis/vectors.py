"""The vector store on Redis servers: operations that Sandblaster has the shards do.

A call covers a range of blocks small enough that its server is held for ``call_ms`` at most;
servers work side by side, each on one such call or on as many as take no longer together. What
crosses the wire is names,
coefficients and sums, never a vector (except a portion's gradient, from a worker).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from distbelief.app.client.commands import Command, Reply
from distbelief.app.client.pacing import call_paced
from distbelief.app.client.scripts import Script
from distbelief.app.client.wire import raw
from distbelief.app.errors import Fenced, NotFinite
from distbelief.app.layout.keys import COUNTED
from distbelief.app.layout.tensors import Vector
from distbelief.app.store.contract.checks import check_gradient, refuse_overwriting
from distbelief.app.store.contract.parameters import Counted
from distbelief.app.store.redis.calls import Head, length
from distbelief.app.store.redis.costs import Cost, EngineCosts, longest
from distbelief.app.store.redis.shards import RedisShards

WALKING = ("changes", "prelude", "walk")

BEGIN = Script.load("distbelief.app.store", "begin", "changes", twin="begin")
COUNT = Script.load("distbelief.app.store", "counted", "changes")
ACCUMULATE = Script.load(
    "distbelief.app.store", "accumulate", "prelude", twin="accumulate", hands_over=True
)
DOTS = Script.load("distbelief.app.store", "dots", "changes", "prelude", twin="dots", reads=True)
COMBINE = Script.load("distbelief.app.store", "combine", "changes", "prelude", twin="combine")
PSEUDO = Script.load("distbelief.app.store", "pseudo", *WALKING, twin="pseudo")
ORTHANT = Script.load("distbelief.app.store", "orthant", *WALKING, twin="orthant")
SPARSITY = Script.load("distbelief.app.store", "sparsity", *WALKING, twin="sparsity", reads=True)

#: Arguments of a script about a range of blocks, beside where it lies.
Arguments = Callable[[range], Head]


class RedisVectorStore(RedisShards):
    """The ``VectorStore`` of one run on Redis servers."""

    def create(self, parameters: Vector) -> bool:
        return self._create([parameters])

    def dots(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        if not pairs:
            return []
        names = list(dict.fromkeys(name for pair in pairs for name in pair))
        position = {name: index + 1 for index, name in enumerate(names)}
        asked = ",".join(f"{position[a]}:{position[b]}" for a, b in pairs)

        def cost(of: EngineCosts) -> float:
            return of.unpack * len(names) + of.multiply * len(pairs)

        return self._sums(DOTS, names, cost, lambda _: (asked,))

    def combine(
        self, out: str, terms: Sequence[tuple[float, str]], *, constant: float = 0.0
    ) -> None:
        coefficients = [repr(float(coefficient)) for coefficient, _ in terms]

        def arguments(blocks: range) -> Head:
            last = length(self.layout.block_slice(blocks[-1]))
            return (self.layout.block_numbers, last, repr(float(constant)), *coefficients)

        self._write_vector(COMBINE, out, [name for _, name in terms], arguments)

    def pseudo_gradient(self, out: str, point: str, gradient: str, l1: float) -> None:
        self._choose(PSEUDO, out, [point, gradient], l1)

    def orthant_step(
        self, out: str, point: str, pseudo_gradient: str, direction: str, step: float
    ) -> None:
        self._choose(ORTHANT, out, [point, pseudo_gradient, direction], step)

    def sparsity(self, name: str) -> tuple[float, int]:
        norm, nonzeros = self._sums(
            SPARSITY, [name], lambda of: of.unpack + of.choose, lambda b: (self._covered(b),)
        )
        return norm, int(nonzeros)

    def begin(self, evaluation: int, gradient: str) -> None:
        number, commands = self._acknowledged.next_number(), []
        for index, at in enumerate(self._shards):
            keys, head = self._keys(index, COUNTED, gradient), self._head(index, number)
            commands.append(Command.call(at.server, BEGIN, keys, (*head, evaluation)))
        replies = self._servers.call(commands)
        self._settle((index, number, answer) for index, answer in enumerate(replies))
        for index, answer in enumerate(replies):
            if answer == b"EXPIRED":
                raise Fenced(f"shard {index} is at a later evaluation than {evaluation}")

    def counted(self, evaluation: int) -> list[int]:
        number, commands = self._acknowledged.next_number(), []
        for index, at in enumerate(self._shards):
            keys, head = self._keys(index, COUNTED), self._head(index, number)
            commands.append(Command.call(at.server, COUNT, keys, (*head, evaluation)))
        replies = self._servers.call(commands)
        self._settle((index, number, answer) for index, (answer, _) in enumerate(replies))
        return [count for _, count in replies]

    def accumulate(
        self, fence: int, evaluation: int, gradient: str, portion: int, values: Vector
    ) -> tuple[Counted, ...]:
        return self.accumulate_each(fence, evaluation, gradient, [(portion, values)])[0]

    def accumulate_each(
        self, fence: int, evaluation: int, gradient: str, shares: Sequence[tuple[int, Vector]]
    ) -> list[tuple[Counted, ...]]:
        """Accumulate portions, each with its values, in one round trip: each shard's answers."""
        commands = []
        for portion, values in shares:
            check_gradient(self.layout, values, None)
            packed = self._packed(values)
            for index, at in enumerate(self._shards):
                head: Head = (fence, evaluation, portion, at.blocks[0], at.blocks[-1])
                arguments = [*head, self.layout.block_numbers, raw(packed[at.part])]
                keys = self._keys(index, COUNTED, gradient)
                commands.append(Command.call(at.server, ACCUMULATE, keys, arguments))
        n_shards, replies = len(self._shards), self._servers.call(commands)
        for place, answer in enumerate(replies):
            self._check(place % n_shards, answer)
        counted = [Counted(answer.decode()) for answer in replies]
        return [tuple(counted[at : at + n_shards]) for at in range(0, len(counted), n_shards)]

    def _sums(
        self, script: Script, names: Sequence[str], cost: Cost, arguments: Arguments
    ) -> list[float]:
        """Sums over all numbers, of what a script sums over a range of blocks."""
        sums = []
        for index, _, (answer, packed) in self._in_ranges(script, names, cost, arguments):
            self._check(index, answer)
            sums.append(np.frombuffer(packed, "<f8"))
        return [_total(column) for column in np.array(sums).T]

    def _choose(self, script: Script, out: str, terms: Sequence[str], amount: float) -> None:
        """Have a script write ``out`` that treats the numbers of the L1 term differently."""
        self._write_vector(
            script, out, terms, lambda b: (self._covered(b), repr(float(amount))), chosen=1
        )

    def _write_vector(
        self, script: Script, out: str, terms: Sequence[str], arguments: Arguments, chosen: int = 0
    ) -> None:
        """Have a script write ``out``; ``chosen`` are its choices for one number."""
        refuse_overwriting(out, terms)

        def cost(of: EngineCosts) -> float:
            return of.writing(len(terms)) + of.choose * chosen

        written = [*self._in_ranges(script, [out, *terms], cost, arguments, changes=True)]
        if any(answer == b"REFUSED" for _, _, answer in written):
            raise NotFinite(f"{out} would hold numbers that are not finite")
        self._settle(written)

    def _in_ranges(
        self,
        script: Script,
        names: Sequence[str],
        cost: Cost,
        arguments: Arguments,
        *,
        changes: bool = False,
    ) -> Iterator[tuple[int, int, Reply]]:
        """Call a script on each range of blocks: the shard, the number of a change, the reply.

        Of the ranges of a shard that needs several calls no two are sent together: when one is,
        the change before it has been acknowledged.
        """
        commands, called = [], list[tuple[int, int]]()
        last = dict[int, int]()
        for index, blocks in self._ranges(cost):
            number = self._acknowledged.next_number() if changes else 0
            fence, known, _ = self._head(index)
            head: Head = (fence, last.get(index, known), number)
            last |= {index: number} if changes else {}
            keys, where = self._keys(index, *names), (blocks[0], blocks[-1])
            words = (*head, *where, *arguments(blocks))
            commands.append(Command.call(self._shards[index].server, script, keys, words))
            called.append((index, number))
        replies = call_paced(self._servers, commands, self._at_a_time(cost))
        for (index, number), reply in zip(called, replies, strict=True):
            yield index, number, reply

    def _covered(self, blocks: range) -> str:
        """The stretches of a range of blocks that the L1 term covers, for a script."""
        first, last = map(self.layout.block_slice, (blocks[0], blocks[-1]))
        stretches = self.layout.penalised(slice(first.start, last.stop))
        return ",".join(f"{start}:{end}" for start, end in stretches)

    def _ranges(self, cost: Cost) -> Iterator[tuple[int, range]]:
        """Ranges of blocks, each within one shard and one call's time on its server."""
        size = self.layout.block_numbers
        at_a_time = [max(1, most // size) for most in longest(self._servers, cost)]
        for index, at in enumerate(self._shards):
            step = at_a_time[at.server]
            for first in range(0, len(at.blocks), step):
                yield index, at.blocks[first : first + step]


def _total(sums: Vector) -> float:
    """The sum, rounded once, so that it does not depend on how the ranges are ordered."""
    try:
        return math.fsum(sums)
    except (OverflowError, ValueError):  # beyond a double, or infinities of both signs
        with np.errstate(over="ignore", invalid="ignore"):
            return float(np.sum(sums))
