"""How many calls an operation on vectors takes: as few as the engine of each server allows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import pytest

from distbelief.app.client.commands import Command, Reply
from distbelief.app.client.engine import Engine
from distbelief.app.client.rounds import Lane
from distbelief.app.client.servers import Servers
from distbelief.app.layout.layout import MAX_SHARD_NUMBERS, Layout
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.store.redis.vectors import RedisVectorStore
from distbelief.coordinator.sandblaster.descent import Settings

#: The basis of a full history, as L-BFGS has it by default.
BASIS = [f"vec:{index}" for index in range(2 * Settings().history + 1)]

OPERATIONS: dict[str, Callable[[RedisVectorStore], object]] = {
    "dots": lambda store: store.dots([(a, b) for a in BASIS[:3] for b in BASIS]),
    "combine": lambda store: store.combine("vec:out", [(0.5, name) for name in BASIS]),
    "pseudo-gradient": lambda store: store.pseudo_gradient("vec:out", "vec:0", "vec:1", 0.1),
    "orthant step": lambda store: store.orthant_step("vec:out", "vec:0", "vec:1", "vec:2", 0.1),
    "sparsity": lambda store: store.sparsity(BASIS[0]),
}


class Counted:
    """Stands for the servers: counts the calls to each, and does nothing."""

    def __init__(self, *engines: Engine) -> None:
        self.engines, self.calls = engines, Counter[int]()
        self.call_ms, self.most_at_once = 10.0, Counter[int]()

    def __len__(self) -> int:
        return len(self.engines)

    def lane(self, command: Command) -> Lane:
        return Lane(command.server)

    def call(self, commands: Sequence[Command]) -> list[Reply]:
        at_once = Counter(command.server for command in commands)
        self.calls.update(at_once)
        self.most_at_once |= at_once
        return [(b"OK", np.zeros(2).tobytes()) for _ in commands]


def calls(name: str, *engines: Engine) -> dict[int, int]:
    """To each server, which has one shard as large as they come."""
    size = MAX_SHARD_NUMBERS * len(engines)
    tensors = [TensorSpec("w", (size,))]
    layout = Layout.plan(tensors, n_servers=len(engines), block_numbers=1024)
    assert layout.n_shards == len(engines)
    servers = Counted(*engines)
    store = RedisVectorStore(cast("Servers", servers), "run", layout, fence=1)
    OPERATIONS[name](store)
    return dict(servers.calls)


@pytest.mark.parametrize("name", OPERATIONS)
def test_one_call_of_the_native_engine_covers_a_shard(name: str) -> None:
    assert calls(name, Engine.NATIVE) == {0: 1}


@pytest.mark.parametrize("name", ["dots", "combine"])
def test_the_engine_of_each_server_decides_for_it(name: str) -> None:
    found = calls(name, Engine.NATIVE, Engine.LUA)
    assert found[0] == 1
    assert 5 < found[1] <= 64


@pytest.mark.parametrize("name", ["dots", "combine"])
def test_others_on_a_server_get_their_turn_between_calls(name: str) -> None:
    """What Lua needs ten milliseconds for is sent alone; the native engine takes more at once."""
    servers = Counted(Engine.LUA)
    layout = Layout.plan([TensorSpec("w", (4 * MAX_SHARD_NUMBERS,))], n_servers=1)
    store = RedisVectorStore(cast("Servers", servers), "run", layout, fence=1)
    OPERATIONS[name](store)
    assert servers.most_at_once == {0: 1}


def test_calls_that_take_no_time_are_all_sent_at_once() -> None:
    servers = Counted(Engine.NATIVE)
    layout = Layout.plan([TensorSpec("w", (64,))], n_servers=1, block_numbers=4, n_shards=8)
    RedisVectorStore(cast("Servers", servers), "run", layout, fence=1).combine("vec:out", [])
    assert servers.most_at_once == {0: 8}
