"""The parameter store on Redis servers: shards in hashes, updates in Lua."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from app.errors import Fenced
from app.keys import PARAMETERS, slot
from app.layout import Layout, Vector
from app.optimizers.rule import Rule
from app.scripts import Script
from app.store.checks import check_answers, check_gradient
from app.store.contract import Answer, Counts, Positions, Pushed, Token, missing
from app.store.servers import Command, Reply, Servers
from app.store.shards import Head, RedisShards, Shard, length, positions

ANNOUNCE = Script.load("app.store", "announce")


def push_script(rule: Rule) -> Script:
    """The script that applies ``rule``: the shared protocol and the rule's few lines."""
    protocol = Script.load("app.store", "push", "prelude")
    body = Script.load("app.store", f"push_{rule.name}")
    return Script(body.name, f"{protocol.source}\n{body.source}")


class RedisParameterStore(RedisShards):
    """The :class:`app.store.contract.ParameterStore` of one run on Redis servers."""

    def __init__(
        self,
        servers: Servers,
        run: str,
        layout: Layout,
        rule: Rule,
        dtype: np.dtype[np.floating] | type[np.floating] = np.float32,
        *,
        fence: int,
    ) -> None:
        vectors = (PARAMETERS, *(slot(name) for name in rule.slots))
        super().__init__(servers, run, layout, dtype, vectors, fence=fence)
        self.rule = rule
        self._push = push_script(rule)
        self._rule_arguments = tuple(repr(number) for number in rule.arguments())

    def create(self, parameters: Vector, slots: Mapping[str, Vector] | None = None) -> bool:
        slots = self.rule.initial_slots(parameters.astype(np.float64)) if slots is None else slots
        return self._create([parameters, *(slots[name] for name in self.rule.slots)])

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
        return positions(reply[1:3] for reply in replies)

    def push(
        self,
        token: Token,
        sequence: int,
        gradient: Vector,
        *,
        blocks: Sequence[int] | None = None,
        fetch: bool = False,
        base: Counts | None = None,
    ) -> Pushed:
        check_gradient(self.layout, gradient, blocks)
        packed = self._packed(gradient)
        head: Head = (token.fence, token.stream, token.attempt, sequence, int(fetch))
        commands = []
        for index, (at, ids, part) in enumerate(self._parts(blocks)):
            since = "" if base is None else int(base[index])
            arguments = [*head, since, ids, packed[part].tobytes(), *self._rule_arguments]
            commands.append(Command.call(at.server, self._push, at.keys, arguments))
        replies = self._servers.call(commands)
        answers = tuple(Answer(reply[0].decode()) for reply in replies)
        stand = positions(reply[1:3] for reply in replies)
        check_answers(answers, stand, sequence)
        return Pushed(answers, stand, self._fresh(replies) if fetch else None)

    def _parts(self, blocks: Sequence[int] | None) -> list[tuple[Shard, str, slice]]:
        """For each shard the ids to push and where their numbers lie in the gradient."""
        if blocks is None:
            return [(at, at.ids, at.part) for at in self._shards]
        parts, start = [], 0
        for at in self._shards:
            ids = [block for block in blocks if block in at.blocks]
            stop = start + sum(length(self.layout.block_slice(block)) for block in ids)
            parts.append((at, ",".join(map(str, ids)), slice(start, stop)))
            start = stop
        return parts

    def _fresh(self, replies: Sequence[Reply]) -> Vector:
        return np.frombuffer(b"".join(reply[3] for reply in replies), self.dtype)
