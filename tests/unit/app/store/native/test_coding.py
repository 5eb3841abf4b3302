"""Numbers in fewer bits: what they become, the same with the engine and without it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from distbelief.app.errors import ServerRefused
from distbelief.app.layout.tensors import Vector
from distbelief.app.settings.downpour import Wire
from distbelief.app.store.contract.coding import GROUP, NUMPY, Coder, check_coding, coded_bytes
from distbelief.app.store.native import library
from distbelief.app.store.native.coding import NATIVE

NARROW: tuple[Wire, ...] = ("bfloat16", "int8")
CODERS = {"numpy": NUMPY, "native": NATIVE}

#: Every pattern of bits: all magnitudes, NaN and infinity as well.
ANY = arrays("<u4", st.integers(0, 2 * GROUP + 3)).map(lambda bits: bits.view("<f4"))
FINITE = arrays(
    "<f4", st.integers(0, 2 * GROUP + 3), elements=st.floats(-(2.0**100), 2.0**100, width=32)
)  # with subnormal ones


@pytest.fixture(params=CODERS)
def coder(request: pytest.FixtureRequest) -> Coder:
    return CODERS[request.param]


def f4(*numbers: float) -> Vector:
    return np.array(numbers, "<f4")


@pytest.mark.skipif(library() is None, reason="the native engine is not built")
@given(ANY, st.sampled_from(NARROW))
@example(f4(np.nan, 1.0), "int8")
@example(f4(1e-45, -3e-45), "int8")
@example(np.full(3, 180 * 1.4e-45, "<f4"), "int8")
def test_the_engine_codes_as_the_twin_does(numbers: Vector, wire: Wire) -> None:
    coded = NUMPY.encode(wire, numbers)
    assert coded.nbytes == coded_bytes(wire, numbers.size)
    assert NATIVE.encode(wire, numbers).tobytes() == coded.tobytes()
    numpy, native = NUMPY.rounded(wire, numbers), NATIVE.rounded(wire, numbers)
    assert np.array_equal(numpy, native, equal_nan=True)
    assert np.array_equal(np.signbit(numpy), np.signbit(native)) or np.isnan(numpy).any()


def test_bfloat16_is_the_nearest_and_of_two_the_even_one(coder: Coder) -> None:
    step = 2.0**-7
    given_ = f4(1 + step / 2, 1 + 1.5 * step, 1 + 0.51 * step, 1 + 0.49 * step, -1 - step / 2, -0.0)
    expected = f4(1, 1 + 2 * step, 1 + step, 1, -1, -0.0)
    assert coder.rounded("bfloat16", given_).tobytes() == expected.tobytes()
    tiny, top = 2.0**-133, float(np.finfo(np.float32).max)  # of bfloat16, and of float32
    given_ = f4(tiny / 2, 0.75 * tiny, 1.5 * tiny, top, -np.inf)
    expected = f4(0, tiny, 2 * tiny, np.inf, -np.inf)
    assert coder.rounded("bfloat16", given_).tobytes() == expected.tobytes()


@given(numbers=FINITE)
def test_int8_is_off_by_half_a_127th_of_the_largest_of_its_256(numbers: Vector) -> None:
    back = NUMPY.rounded("int8", numbers)
    for first in range(0, numbers.size, GROUP):
        part = slice(first, first + GROUP)
        top = float(np.abs(numbers[part]).max())
        off = np.abs(numbers[part].astype(float) - back[part])
        assert off.max() <= max(top / 127 * 0.5001, 127 * 1.5e-45)


@pytest.mark.parametrize("wire", NARROW)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_arrives_as_such(coder: Coder, wire: Wire, bad: float) -> None:
    assert not np.isfinite(coder.rounded(wire, f4(1, bad, 2))).all()


@pytest.mark.parametrize("wire", ["float32", *NARROW])
@given(st.integers(0, 2**32), st.integers(1, 30))
def test_all_pushes_together_are_rounded_as_one(wire: Wire, seed: int, pushes: int) -> None:
    random, size = np.random.default_rng(seed), GROUP + 44
    residual, sent, meant = np.zeros(size, "<f4"), np.zeros(size), np.zeros(size)
    for _ in range(pushes):
        gradient = random.normal(size=size).astype("<f4")
        whole = gradient + residual
        part = np.empty_like(gradient)
        NUMPY.decode(wire, NUMPY.feed_back(wire, gradient, residual), part)
        sent += part
        meant += gradient
    assert np.allclose(meant - sent, residual, atol=1e-5)
    assert (
        np.abs(residual).max()
        <= {"float32": 0, "bfloat16": 2**-8, "int8": 1 / 250}[wire] * np.abs(whole).max()
    )


@pytest.mark.parametrize("wire", ["float32", *NARROW])
def test_a_push_that_is_refused_leaves_the_residual(wire: Wire) -> None:
    residual = f4(0.5, 0.25)
    NUMPY.feed_back(wire, f4(1, np.nan), residual)
    assert residual.tolist() == [0.5, 0.25]


def test_what_is_not_sent_so_is_refused() -> None:
    with pytest.raises(ServerRefused, match="bfloat16 is for shards of float32, these are of floa"):
        check_coding("bfloat16", np.dtype("<f8"))
    with pytest.raises(ServerRefused, match="int8 is not for rows of tables"):
        check_coding("int8", np.dtype("<f4"), rows=True)
    check_coding("float32", np.dtype("<f8"), rows=True)
