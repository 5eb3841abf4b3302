"""Scripts on the servers and their NumPy twins give the same bits, whatever they are fed."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.resources import files
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from distbelief.app.client.servers import Servers
from distbelief.app.layout.keys import PARAMETERS, slot
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.optimizers.rule import Rule
from distbelief.app.optimizers.rules.sgd import SGD
from distbelief.app.settings.downpour import Wire
from distbelief.app.store.contract.parameters import (
    Answer,
    ParameterStore,
    Pushed,
    ShardState,
    Token,
)
from distbelief.app.store.memory.parameters import MemoryParameterStore
from distbelief.app.store.redis.parameters import RedisParameterStore
from tests.rules import RULES

Array = npt.NDArray[np.floating[Any]]
FENCE, ATTEMPT = 1, 1
WIRES: tuple[Wire, ...] = get_args(Wire)

#: The scripts unpack blocks in runs of this many numbers.
PRELUDE = (files("distbelief.app.store") / "lua" / "prelude.lua").read_text()
RUN = int(re.findall(r"^local RUN = (\d+)$", PRELUDE, re.MULTILINE)[0])
LENGTHS = st.integers(1, 40) | st.builds(
    lambda runs, more: runs * RUN + more, st.integers(1, 2), st.integers(-1, 1)
)

#: Updates of others at the fetch: some of them after what the shards have, as after a loss.
BASES = st.integers(-4, 3)


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    sizes = draw(st.lists(LENGTHS, min_size=1, max_size=3))
    tensors = tuple(TensorSpec(f"t{i}", (size,)) for i, size in enumerate(sizes))
    block_numbers = draw(LENGTHS)
    n_blocks = -(-sum(sizes) // block_numbers)
    return Layout(tensors, block_numbers, draw(st.integers(1, min(n_blocks, 5))), n_servers=2)


def ordinary(random: np.random.Generator, size: int, dtype: np.dtype[np.floating[Any]]) -> Array:
    return random.normal(size=size).astype(dtype)


def subnormal(random: np.random.Generator, size: int, dtype: np.dtype[np.floating[Any]]) -> Array:
    smallest = np.finfo(dtype).smallest_subnormal
    return (random.integers(-3, 4, size) * smallest).astype(dtype)


def zeros(random: np.random.Generator, size: int, dtype: np.dtype[np.floating[Any]]) -> Array:
    signed: Array = np.copysign(0.0, random.uniform(-1, 1, size))
    return signed.astype(dtype)


def huge(random: np.random.Generator, size: int, dtype: np.dtype[np.floating[Any]]) -> Array:
    """Near the square root of the largest number, so that some squares overflow."""
    root = float(np.sqrt(np.finfo(dtype).max))
    return (random.uniform(-1.1, 1.1, size) * root).astype(dtype)


def largest(random: np.random.Generator, size: int, dtype: np.dtype[np.floating[Any]]) -> Array:
    return (random.uniform(-1, 1, size) * np.finfo(dtype).max).astype(dtype)


def any_bits(random: np.random.Generator, size: int, dtype: np.dtype[np.floating[Any]]) -> Array:
    """Every pattern of bits: all magnitudes, NaN and infinity as well."""
    return np.frombuffer(random.bytes(size * dtype.itemsize), dtype)


FINITE = (ordinary, subnormal, zeros, huge, largest)
ANY = (*FINITE, any_bits)


@st.composite
def mixtures(draw: st.DrawFn, kinds: tuple[Callable[..., Array], ...]) -> Callable[..., Array]:
    """A maker of vectors: mostly of one kind, with some numbers of another."""
    seed, most, few = draw(st.tuples(st.integers(0, 2**32), *[st.sampled_from(kinds)] * 2))
    share = draw(st.sampled_from([0.0, 0.01, 0.5]))

    def make(size: int, dtype: np.dtype[np.floating[Any]]) -> Array:
        random = np.random.default_rng(seed)
        mixed: Array = most(random, size, dtype).copy()
        replaced = random.random(size) < share
        mixed[replaced] = few(random, size, dtype)[replaced]
        return mixed

    return make


def bits(store: ParameterStore) -> list[bytes]:
    names = (PARAMETERS, *map(slot, store.rule.slots))
    return [store.fetch(name).vector.tobytes() for name in names]


def some_slots(rule: Rule, values: Array, dtype: np.dtype[np.floating[Any]]) -> dict[str, Array]:
    """Slots that a training may have come to: the rule's first ones, where these can be stored,
    and in every third place something of the size of ``values``.
    """
    slots: dict[str, Array] = {}
    for name, first in rule.initial_slots(values.astype(np.float64)).items():
        stored = np.abs(first) < float(np.finfo(dtype).max)
        slot = np.where(stored, first, 0.0)
        slot[::3] = np.abs(values[::3])
        slots[name] = slot
    return slots


def told(pushed: Pushed) -> tuple[tuple[Answer, ...], list[int], list[int], bytes | None]:
    fresh = None if pushed.fresh is None else pushed.fresh.tobytes()
    positions = pushed.positions
    return pushed.answers, positions.clocks.tolist(), positions.sequences.tolist(), fresh


HALF = np.float32(2.0**103)


@pytest.mark.parametrize(
    ("more", "answer"),
    [(HALF, Answer.REFUSED), (np.nextafter(HALF, np.float32(0)), Answer.APPLIED)],
    ids=["half a unit more", "a little less"],
)
def test_float32_is_refused_exactly_when_it_rounds_to_infinity(
    servers: Servers, run_id: str, more: np.float32, answer: Answer
) -> None:
    """Half a unit in the last place above the largest number is infinite, less is not."""
    top = np.finfo(np.float32).max
    layout = Layout((TensorSpec("w", (1,)),), 1, 1, n_servers=2)
    for store in (
        RedisParameterStore(servers, run_id, layout, SGD(1.0), fence=FENCE),
        MemoryParameterStore(layout, SGD(1.0), fence=FENCE),
    ):
        store.create(np.full(1, top))
        assert store.push(Token(FENCE, 0, ATTEMPT), 1, -np.full(1, more)).answers == (answer,)
        assert store.fetch().vector.tolist() == [top]


@pytest.mark.parametrize("name", RULES)
@settings(max_examples=30)
@given(st.integers(0, 2000) | st.integers(0, 10**8), st.data())
def test_script_and_twin_agree_late_in_a_training(
    servers: Servers, new_run: Callable[[], str], name: str, clock: int, data: st.DataObject
) -> None:
    """Whatever the clock is: powers of Adam's betas, decayed rates."""
    layout, rule = Layout((TensorSpec("w", (5,)),), 5, 1, n_servers=2), data.draw(RULES[name])
    gradient = np.linspace(-1.0, 2.0, 5)
    stores = (
        RedisParameterStore(servers, new_run(), layout, rule, np.float64, fence=FENCE),
        MemoryParameterStore(layout, rule, np.float64, fence=FENCE),
    )
    for store in stores:
        store.create(gradient)
        slots = {slot(each): np.full(5, 0.5) for each in rule.slots}
        store.restore({0: ShardState(applied=clock)}, {PARAMETERS: gradient, **slots})
        store.push(Token(FENCE, 0, ATTEMPT), 1, gradient)
    script, twin = stores
    assert bits(script) == bits(twin)
    assert script.counts() == twin.counts()
    script.delete()


@pytest.mark.parametrize("name", RULES)
@settings(max_examples=45)
@given(layouts(), st.sampled_from(["<f4", "<f8"]), mixtures(FINITE), st.data())
def test_script_and_twin_agree_bit_for_bit(
    servers: Servers,
    new_run: Callable[[], str],
    name: str,
    layout: Layout,
    kind: str,
    initial: Callable[..., Array],
    data: st.DataObject,
) -> None:
    dtype, rule = np.dtype(kind), data.draw(RULES[name], "rule")
    script = RedisParameterStore(servers, new_run(), layout, rule, dtype, fence=FENCE)
    twin = MemoryParameterStore(layout, rule, dtype, fence=FENCE)
    values = initial(layout.size, dtype)
    slots = some_slots(rule, initial(layout.size, dtype), dtype)
    assert script.create(values, slots)
    assert twin.create(values, slots)
    assert bits(script) == bits(twin)
    some = st.sets(st.integers(0, layout.n_blocks - 1)).map(sorted)
    for _ in range(data.draw(st.integers(1, 5), "pushes")):
        blocks = data.draw(st.none() | some, "blocks")
        chosen = range(layout.n_blocks) if blocks is None else blocks
        size = sum(layout.block_slice(b).stop - layout.block_slice(b).start for b in chosen)
        gradient = data.draw(mixtures(ANY), "gradient")(size, dtype)
        token = Token(FENCE, data.draw(st.integers(0, 1), "stream"), ATTEMPT)
        sequence = int(twin.announce(token).sequences[0]) + 1
        base = data.draw(st.none() | arrays(np.int64, layout.n_shards, elements=BASES), "base")
        share = 1.0 if name == "ftrl" else data.draw(st.floats(0.01, 1), "share")
        how: dict[str, Any] = {"blocks": blocks, "fetch": True, "base": base, "share": share}
        how["wire"] = data.draw(st.sampled_from(WIRES), "wire") if kind == "<f4" else "float32"
        left: list[Array | None] = [
            initial(size, dtype) / 300 for _ in range(2 * data.draw(st.booleans(), "left"))
        ]
        of_script, of_twin = left or [None, None]
        ours = told(script.push(token, sequence, gradient, residual=of_script, **how))
        theirs = told(twin.push(token, sequence, gradient, residual=of_twin, **how))
        assert ours == theirs
        if of_script is not None and of_twin is not None:
            assert of_script.tobytes() == of_twin.tobytes()
        come = [store.fetch(wire=how["wire"]).vector.tobytes() for store in (script, twin)]
        assert come[0] == come[1]
        assert bits(script) == bits(twin)
        assert script.counts() == twin.counts()
    script.delete()
