"""The native engine's steps on a replica's copy have the bits of the NumPy twins'."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distbelief.app.optimizers.rule import Rule, decayed, local_step
from distbelief.app.optimizers.rules.ftrl import Ftrl
from distbelief.app.optimizers.rules.sgd import SGD
from tests.redis.store.test_twins import ANY, FINITE, Array, mixtures, some_slots
from tests.rules import RULES

LENGTHS = st.integers(1, 70) | st.integers(1000, 1100)


@pytest.fixture(scope="module")
def engine(native_module: Path) -> Any:
    step = ctypes.CDLL(str(native_module)).distbelief_step
    step.argtypes = [
        *(ctypes.c_char_p, ctypes.c_char, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p),
        *(ctypes.c_double, ctypes.c_double, ctypes.c_void_p),
    ]
    step.restype = ctypes.c_int
    return step


def stepped(
    engine: Any, rule: Rule, gradient: Array, values: Sequence[Array], clock: int, kind: str = ""
) -> int:
    """Apply ``rule`` in place in the native engine."""
    rate, decay, *rest = rule.arguments()
    addresses = (ctypes.c_void_p * len(values))(*(value.ctypes.data for value in values))
    return int(
        engine(
            rule.name.encode(),
            (kind or gradient.dtype.char).encode(),
            gradient.size,
            gradient.ctypes.data,
            addresses,
            decayed(rate, decay, clock),
            clock,
            (ctypes.c_double * len(rest))(*rest),
        )
    )


def bits(values: Sequence[Array]) -> list[bytes]:
    """Those of each number; of NaN only that it is none, because no two machines agree on more."""
    return [
        np.where(np.isnan(value), value.dtype.type(np.nan), value).tobytes() for value in values
    ]


@pytest.mark.parametrize("name", RULES)
@given(
    LENGTHS,
    st.sampled_from(["<f4", "<f8"]),
    mixtures(FINITE),
    st.lists(mixtures(ANY), min_size=1, max_size=3),
    st.integers(0, 2000),
    st.data(),
)
def test_a_native_step_has_the_bits_of_its_twin(
    engine: Any,
    name: str,
    size: int,
    kind: str,
    initial: Callable[..., Array],
    gradients: list[Callable[..., Array]],
    clock: int,
    data: st.DataObject,
) -> None:
    rule, dtype = data.draw(RULES[name], "rule"), np.dtype(kind)
    parameters = initial(size, dtype)
    with np.errstate(all="ignore"):
        slots = some_slots(rule, initial(size, dtype), dtype)
    ours = [parameters, *(slots[each].astype(dtype) for each in rule.slots)]
    twin = [value.copy() for value in ours]
    for later, gradient in enumerate(gradients):
        pushed = gradient(size, dtype)
        finite = stepped(engine, rule, pushed, ours, clock + later)
        local_step(rule, pushed, twin, clock + later)
        assert bits(ours) == bits(twin)
        assert finite == all(np.isfinite(value).all() for value in twin)


@pytest.mark.parametrize("kind", ["<f4", "<f8"])
def test_a_step_at_odd_addresses_is_the_same(engine: Any, kind: str) -> None:
    """Blocks lie in strings of the server, wherever these begin."""
    random, dtype = np.random.default_rng(0), np.dtype(kind)
    rule = Ftrl(0.1, 1.0, 0.01, 0.1)
    whole = [random.normal(size=33).astype(dtype) ** 2 for _ in range(4)]
    odd = [
        np.frombuffer(bytearray(b"x" + value.tobytes()), dtype, offset=1, count=33)
        for value in whole
    ]
    for gradient, *values in (whole, odd):
        assert stepped(engine, rule, gradient, values, 3) == 1
    assert bits(whole) == bits(odd)


@pytest.mark.parametrize(("name", "kind"), [("adadelta", "f"), ("", "d"), ("sgd", "e")])
def test_another_rule_or_type_is_not_taken(engine: Any, name: str, kind: str) -> None:
    class Other(SGD):
        pass

    Other.name = name
    values = np.ones(3)
    assert stepped(engine, Other(1.0), values, [values], 0, kind) == -1
    assert values.tolist() == [1.0] * 3


def test_nothing_is_done_to_no_numbers(engine: Any) -> None:
    assert stepped(engine, SGD(1.0), np.empty(0), [np.empty(0)], 0) == 1
