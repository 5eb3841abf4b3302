"""The native engine does what the scripts do: the same answers, the same bytes, call by call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distbelief.coordinator.cluster.binaries import ServerProgram
from tests.redis.private import PrivateServer
from tests.redis.store.native.both_engines import RULES, Side, sides
from tests.redis.store.native.random_calls import Calls

CALLS = 25


@pytest.fixture(scope="module")
def socket(program: ServerProgram, native_module: Path) -> Iterator[str]:
    with PrivateServer(program, options=["--loadmodule", str(native_module)]) as server:
        yield str(server.socket)


def check_calls(socket: str, calls: Calls, kinds: list[Callable[[], None]]) -> None:
    """Make calls of these kinds and compare both sides after each."""
    with sides(socket) as (lua, native):
        calls.on(lua, native)
        calls.create()
        for _ in range(CALLS):
            kinds[calls.random.integers(len(kinds))]()
            compare(calls, lua, native)


def compare(calls: Calls, lua: Side, native: Side) -> None:
    made = calls.last
    assert calls.same(made), made
    assert lua.contents() == native.contents(), made


@pytest.mark.parametrize("kind", ["f", "d"])
@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=8)
@given(st.integers(0, 2**32))
def test_pushes_are_the_same(socket: str, rule: str, kind: str, seed: int) -> None:
    calls = Calls(np.random.default_rng(seed), RULES[rule], kind)
    check_calls(socket, calls, calls.pushes())


@pytest.mark.parametrize("kind", ["f", "d"])
@settings(max_examples=30)
@given(st.integers(0, 2**32))
def test_operations_on_vectors_are_the_same(socket: str, kind: str, seed: int) -> None:
    calls = Calls(np.random.default_rng(seed), RULES["sgd"], kind)
    check_calls(socket, calls, calls.operations())
