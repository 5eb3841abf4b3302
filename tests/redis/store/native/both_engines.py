"""The same calls to both engines of one server, each on a run of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import redis

from distbelief.app.client.commands import Command
from distbelief.app.client.engine import Engine
from distbelief.app.client.scripts import Script
from distbelief.app.client.wire import Argument
from distbelief.app.layout.keys import COUNTED, shard
from distbelief.app.store.contract.tables import MARK
from distbelief.app.store.redis.calls import CREATE
from distbelief.app.store.redis.parameters import ANNOUNCE, push_script
from distbelief.app.store.redis.shards import FENCE, FETCH, FETCH_ROWS
from distbelief.app.store.redis.vectors import (
    ACCUMULATE,
    BEGIN,
    COMBINE,
    DOTS,
    ORTHANT,
    PSEUDO,
    SPARSITY,
)
from tests.rules import some_rules

SETTINGS = {"learning_rate": 0.1, "learning_rate_decay": 0.01, "weight_decay": 0.01}
PENALTIES = {"ftrl_l1": 0.05, "ftrl_l2": 0.01}
RULES = {rule.name: rule for rule in some_rules(**SETTINGS, **PENALTIES)}

#: Every script that the native engine has a command for.
TWINS = [
    *(push_script(rule) for rule in RULES.values()),
    *(push_script(rule, "push_rows") for rule in RULES.values()),
    *(FETCH, FETCH_ROWS, ANNOUNCE, BEGIN, ACCUMULATE, DOTS, COMBINE, PSEUDO, ORTHANT, SPARSITY),
]
ONLY_LUA = [CREATE, FENCE]

Answer = Any


class Side:
    """A run with one shard, whose commands one engine carries out."""

    def __init__(self, client: redis.Redis, engine: Engine) -> None:
        self.client, self.engine = client, engine

    def call(self, script: Script, names: Sequence[str], *arguments: Argument) -> Answer:
        """The reply, or the error."""
        keys = [self.key(name) for name in names]
        engine = self.engine if script.twin else Engine.LUA
        words = Command.call(0, script, keys, arguments).words(engine)
        try:
            return self.client.execute_command(*words)
        except redis.ResponseError as error:
            return error

    def mark(self, *names: str) -> None:
        """Have vectors be those of a shard of tables."""
        for name in names:
            self.client.hset(self.key(name), MARK, "")

    def key(self, name: str) -> str:
        return shard(self.engine, 0, name)

    def contents(self) -> dict[str, Any]:
        """All that is stored, under the names of the keys."""
        keys = cast("list[bytes]", self.client.keys(self.key("*")))
        names = [key.decode().removeprefix(self.key("")) for key in keys]
        with self.client.pipeline(transaction=False) as asked:
            for key, name in zip(keys, names, strict=True):
                asked.get(key) if name == COUNTED else asked.hgetall(key)
            return dict(zip(names, asked.execute(), strict=True))


@dataclass(frozen=True)
class Made:
    """A call, and what Lua and the native engine answered."""

    script: str
    names: tuple[str, ...]
    arguments: tuple[Argument, ...]
    lua: Answer
    native: Answer

    def magnitude(self, side: Side, dtype: np.dtype[np.floating[Any]]) -> npt.NDArray[np.float64]:
        """What the parts of each sum come to without their signs: bounds what order changes."""
        contents = side.contents()
        first, last, text = self.arguments[3:]
        fields = [str(each).encode() for each in range(int(first), int(last) + 1)]
        wide = [
            np.abs(np.frombuffer(b"".join(contents[name][each] for each in fields), dtype))
            for name in self.names[1:]
        ]
        with np.errstate(over="ignore"):
            if self.script == "sparsity":
                return np.array([wide[0].astype(np.float64).sum(), 0.0])
            pairs = [[int(each) - 1 for each in pair.split(":")] for pair in str(text).split(",")]
            return np.array([wide[a].astype(np.float64) @ wide[b] for a, b in pairs])


@contextmanager
def sides(socket: str) -> Iterator[tuple[Side, Side]]:
    """Lua's and the native engine's, on an empty server."""
    with redis.Redis(unix_socket_path=socket) as client:
        client.flushall()
        for script in [*TWINS, *ONLY_LUA]:
            client.script_load(script.source)
        yield Side(client, Engine.LUA), Side(client, Engine.NATIVE)


def same_answer(lua: Answer, native: Answer) -> bool:
    """Equal; of errors only that the native one begins as the script's own, where it has one."""
    if not isinstance(lua, redis.ResponseError):
        return bool(lua == native)
    code = str(lua).split()[0] if str(lua).startswith("BAD") else ""
    return isinstance(native, redis.ResponseError) and str(native).startswith(code)
