"""Numbers out of bytes: what ``float`` makes of each, rounded once to float32."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from distbelief.app.datasets.reading.decimals import Content


def parts(texts: list[str]) -> tuple[bytes, np.ndarray, np.ndarray]:
    """The texts side by side, with starts and ends."""
    ends = np.cumsum([len(text) + 1 for text in texts]) - 1
    return ";".join(texts).encode(), ends - [len(text) for text in texts], ends


def numbers(texts: list[str]) -> np.ndarray:
    content, starts, ends = parts(texts)
    return Content(content).numbers(starts, ends)


def expected(texts: list[str]) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.array([float(text) for text in texts]).astype(np.float32)


plain = st.from_regex(r"[-+]?[0-9]{0,20}(\.[0-9]{0,30})?", fullmatch=True).filter(
    lambda text: any(map(str.isdigit, text))
)


#: Exactly between two float32 numbers, or a hair beside: where rounding twice goes wrong.
def between(value: np.float32, hair: int, digits: int) -> str:
    after = np.nextafter(value, np.float32(np.inf))
    middle = (Decimal(float(value)) + Decimal(float(after))) / 2
    return f"{middle + hair * Decimal(10) ** -16:.{digits}f}"


halfway = st.builds(
    between,
    st.floats(2**-10, 1e6, width=32).map(np.float32),
    st.integers(-20, 20),
    st.integers(9, 26),
)
any_number = st.floats().map(repr)


@given(st.lists(plain | halfway | any_number, min_size=1, max_size=30))
@example(["16777217", "16777219", "16777217.0000000000000000000000001"])
@example(["9007199254740993", "-0", "-0.0", ".5", "5.", "+1", "0" * 16 + ".5"])
@example(["2.25792276859283470", "0.97540816664695738146093750", "2.923749804496764946718750"])
@example(["600.7191467285156380", "931.3966979980469", "249422.1328125000000"])
@example(["0.0634480677545070668", "0.0067456651013344566290894", "0.016625407151877880"])
@example(["99999999.99999999", "123456789012345678901234567890", "1e5", "1E-5", "inf", "-nan"])
def test_every_number_is_that_of_float_rounded_to_float32(texts: list[str]) -> None:
    assert numbers(texts).tobytes() == expected(texts).tobytes()


@given(st.text("0123456789+-.e_x, :/\t", max_size=20))
def test_what_float_refuses_is_refused(text: str) -> None:
    try:
        value = float(text)
        if "_" in text:
            raise ValueError
    except ValueError:
        with pytest.raises(ValueError, match=r"number|float"):
            numbers(["1", text])
    else:
        assert np.array_equal(numbers(["1", text]), expected(["1", str(value)]))


def test_a_number_ends_where_it_is_said_to() -> None:
    content = Content(b"12345678901234567890.5")
    starts, ends = np.array([0, 2, 18, 19]), np.array([3, 10, 22, 20])
    assert content.numbers(starts, ends).tolist() == [123, 34567888, 90.5, 0]
    assert content.integers(starts[:2], ends[:2]).tolist() == [123, 34567890]


@given(st.lists(st.integers(0, 10**16 - 1), min_size=1))
def test_whole_numbers_of_16_digits_are_exact(values: list[int]) -> None:
    content, starts, ends = parts([str(value) for value in values])
    assert Content(content).integers(starts, ends).tolist() == values


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", "1.0", "1e3", "1 ", "12345678901234567", "x", "/"]
)
def test_what_is_no_whole_number_is_refused(text: str) -> None:
    content, starts, ends = parts(["1", text])
    with pytest.raises(ValueError, match="not a whole number"):
        Content(content).integers(starts, ends)


def test_many_numbers_are_read_in_batches() -> None:
    texts = [str(i / 8) for i in range(20_000)]
    assert np.array_equal(numbers(texts), np.arange(20_000, dtype=np.float32) / 8)
