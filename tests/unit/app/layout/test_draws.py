"""Draws by index: the same everywhere, even, and unlike their neighbours."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from distbelief.app.layout.draws import PRIME, drawn, keys

INDICES = st.lists(st.integers(0, 2**52 - 1), min_size=1, max_size=20)


@given(seed=st.integers(0, 2**32), name=st.text(max_size=8), indices=INDICES)
def test_a_draw_is_a_function_of_seed_name_and_index_alone(
    seed: int, name: str, indices: list[int]
) -> None:
    key = keys(seed, name)
    together = drawn(key, np.array(indices))
    alone = [drawn(key, np.array([index]))[0] for index in indices]
    assert together.tolist() == alone


@given(seed=st.integers(0, 2**32), indices=INDICES)
def test_the_arithmetic_is_that_of_whole_numbers(seed: int, indices: list[int]) -> None:
    a, b, c, d = key = keys(seed, "table")

    def by_hand(index: int) -> float:
        high, low = divmod(index, PRIME)
        mixed = pow(pow(low + a, 3, PRIME) + high + b, 3, PRIME)
        return pow(pow(mixed + c, 3, PRIME) + d, 3, PRIME) * 2.0 / PRIME - 1.0

    assert drawn(key, np.array(indices)).tolist() == [by_hand(index) for index in indices]


def test_draws_are_even_and_neighbours_have_nothing_in_common() -> None:
    values = drawn(keys(0, "table"), np.arange(100_000))
    assert stats.kstest(values, stats.uniform(-1, 2).cdf).pvalue > 0.01
    for lag in (1, 2, 8, 16, 64):
        assert abs(np.corrcoef(values[:-lag], values[lag:])[0, 1]) < 0.01


def test_other_seeds_and_tables_draw_other_values() -> None:
    first = drawn(keys(0, "table"), np.arange(1000))
    for other in (keys(1, "table"), keys(0, "other")):
        assert abs(np.corrcoef(first, drawn(other, np.arange(1000)))[0, 1]) < 0.1
