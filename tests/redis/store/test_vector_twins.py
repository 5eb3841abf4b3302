"""Vectors on the servers and in this process hold the same bits, whatever they are fed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distbelief.app.client.servers import Servers
from distbelief.app.errors import ServerRefused
from distbelief.app.layout.keys import PARAMETERS
from distbelief.app.layout.layout import Layout
from distbelief.app.store.contract.parameters import Counted
from distbelief.app.store.contract.vectors import VectorStore
from distbelief.app.store.memory.vectors import MemoryVectorStore
from distbelief.app.store.redis import costs
from distbelief.app.store.redis.vectors import RedisVectorStore
from tests.redis.store.test_twins import ANY, FINITE, Array, layouts, mixtures

FENCE = 1
NAMES = (PARAMETERS, "vec:a", "vec:b")
OUT, GRADIENT = "vec:out", "vec:gradient"

COEFFICIENTS = st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.1, 1e-310]) | st.floats(-1e3, 1e3)
TERMS = st.lists(st.tuples(COEFFICIENTS, st.sampled_from(NAMES)), max_size=24)

#: From one block at a time to whole shards, in nanoseconds.
CALLS = st.sampled_from([1.0, 1e5, 1e7])

Make = Callable[..., Array]


def filled(store: VectorStore, make: Make) -> VectorStore:
    """Three vectors of finite numbers."""
    values = make(3 * store.layout.size, store.dtype).reshape(3, -1)
    assert store.create(values[0])
    for evaluation, (name, numbers) in enumerate(zip(NAMES[1:], values[1:], strict=True), 1):
        store.begin(evaluation, name)
        store.accumulate(FENCE, evaluation, name, 0, numbers)
    return store


def combined(
    store: VectorStore, terms: list[tuple[float, str]], constant: float
) -> tuple[bytes, str]:
    """The bits that a combination left, or how it was refused."""
    try:
        store.combine(OUT, terms, constant=constant)
    except ServerRefused as refusal:
        return b"", str(refusal)
    return store.fetch(OUT).vector.tobytes(), ""


@pytest.fixture(scope="module")
def pair(servers: Servers, new_run: Callable[[], str]) -> Callable[..., tuple[VectorStore, ...]]:
    """Makes two stores with the same vectors, one on servers and one in memory."""

    def make(layout: Layout, kind: str, values: Make) -> tuple[VectorStore, ...]:
        dtype: Any = np.dtype(kind)
        return (
            filled(RedisVectorStore(servers, new_run(), layout, dtype, fence=FENCE), values),
            filled(MemoryVectorStore(layout, dtype, fence=FENCE), values),
        )

    return make


def forget(store: VectorStore) -> None:
    store.drop(*NAMES, OUT, GRADIENT)
    store.delete()


@settings(max_examples=60)
@given(layouts(), st.sampled_from(["<f4", "<f8"]), mixtures(FINITE), TERMS, COEFFICIENTS, CALLS)
def test_combinations_have_the_same_bits(
    pair: Callable[..., tuple[VectorStore, ...]],
    layout: Layout,
    kind: str,
    values: Make,
    terms: list[tuple[float, str]],
    constant: float,
    call_ns: float,
) -> None:
    script, twin = pair(layout, kind, values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(costs, "NS_PER_MS", call_ns)
        assert combined(script, terms, constant) == combined(twin, terms, constant)
    forget(script)


def with_biases(layout: Layout, penalised: list[bool]) -> Layout:
    """The same layout, in which an L1 term covers only some tensors."""
    tensors = zip(layout.tensors, penalised, strict=False)
    return replace(layout, tensors=tuple(replace(t, penalised=each) for t, each in tensors))


def after_l1(store: VectorStore, l1: float, step: float) -> list[bytes | str | float]:
    """What each operation of an L1 term leaves, or how it is refused."""
    point, gradient, direction = NAMES
    found: list[bytes | str | float] = []
    for write in (
        lambda: store.pseudo_gradient(OUT, point, gradient, l1),
        lambda: store.orthant_step(OUT, point, gradient, direction, step),
        lambda: store.orthant_step(OUT, gradient, direction, point, step),
    ):
        try:
            write()
            found.append(store.fetch(OUT).vector.tobytes())
        except ServerRefused as refusal:
            found.append(str(refusal))
    found += [store.sparsity(name)[1] for name in NAMES]
    return found


@settings(max_examples=60)
@given(
    layouts(),
    st.lists(st.booleans(), min_size=3, max_size=3),
    st.sampled_from(["<f4", "<f8"]),
    mixtures(FINITE),
    st.floats(0, 1e3),
    st.floats(1e-300, 1e3),
    CALLS,
)
def test_operations_of_an_l1_term_have_the_same_bits(
    pair: Callable[..., tuple[VectorStore, ...]],
    layout: Layout,
    penalised: list[bool],
    kind: str,
    values: Make,
    l1: float,
    step: float,
    call_ns: float,
) -> None:
    script, twin = pair(with_biases(layout, penalised), kind, values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(costs, "NS_PER_MS", call_ns)
        assert after_l1(script, l1, step) == after_l1(twin, l1, step)
        for name in NAMES:
            assert script.sparsity(name)[0] == pytest.approx(twin.sparsity(name)[0], rel=1e-13)
    forget(script)


@settings(max_examples=50)
@given(layouts(), st.sampled_from(["<f4", "<f8"]), mixtures(ANY), st.data())
def test_sums_of_portions_have_the_same_bits_and_answers(
    pair: Callable[..., tuple[VectorStore, ...]],
    layout: Layout,
    kind: str,
    gradients: Make,
    data: st.DataObject,
) -> None:
    stores = pair(layout, kind, np.zeros)
    portions = data.draw(st.lists(st.integers(0, 5), max_size=8), "portions")
    values = gradients(6 * layout.size, np.dtype(kind)).reshape(6, -1)
    for store in stores:
        store.begin(7, GRADIENT)
    script, twin = (
        [store.accumulate(FENCE, 7, GRADIENT, portion, values[portion]) for portion in portions]
        for store in stores
    )
    assert script == twin
    if script and set(script[0]) == {Counted.COUNTED}:
        one, other = (store.fetch(GRADIENT).vector.tobytes() for store in stores)
        assert one == other
    forget(stores[0])


@settings(max_examples=50)
@given(layouts(), st.sampled_from(["<f4", "<f8"]), st.integers(0, 2**32), st.integers(-5, 5), CALLS)
def test_dots_agree_with_the_exact_sum(
    pair: Callable[..., tuple[VectorStore, ...]],
    layout: Layout,
    kind: str,
    seed: int,
    exponent: int,
    call_ns: float,
) -> None:
    def values(size: int, dtype: np.dtype[np.floating[Any]]) -> Array:
        random = np.random.default_rng(seed)
        return (random.normal(size=size) * 10.0 ** random.uniform(-5, exponent, size)).astype(dtype)

    stores = pair(layout, kind, values)
    pairs = [(a, b) for a in NAMES for b in NAMES]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(costs, "NS_PER_MS", call_ns)
        for store in stores:
            whole = {name: store.fetch(name).vector.astype(np.float64) for name in NAMES}
            for (a, b), dot in zip(pairs, store.dots(pairs), strict=True):
                products = whole[a] * whole[b]
                bound = 1e-12 * math.fsum(abs(products))
                assert dot == pytest.approx(math.fsum(products), rel=0, abs=bound)
    forget(stores[0])
