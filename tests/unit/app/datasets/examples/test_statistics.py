"""Figures of the columns of numbers: equal however the rows come, and those of NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.sparse import csr_array
from sklearn.preprocessing import StandardScaler

from distbelief.app.datasets.cache.opening import open_cached
from distbelief.app.datasets.examples import statistics
from distbelief.app.datasets.examples.chunks import CsrRows
from distbelief.app.datasets.examples.statistics import (
    RunningStatistics,
    Statistics,
    numbers_of,
    statistics_of,
    target_statistics,
)
from distbelief.app.datasets.reading import lines

values = st.floats(-1e6, 1e6) | st.just(np.nan)
tables = arrays.arrays(np.float64, st.tuples(st.integers(1, 40), st.just(3)), elements=values)


def bits(found: Statistics) -> bytes:
    return found.array().tobytes()


@given(tables, st.lists(st.integers(1, 9), min_size=1), st.integers(1, 30))
def test_the_pieces_in_which_rows_come_do_not_change_a_bit(
    table: Any, sizes: list[int], block: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "BLOCK_NUMBERS", block)
        whole, pieces, start = RunningStatistics(3), RunningStatistics(3), 0
        whole.add(table)
        while start < len(table):
            size = sizes[start % len(sizes)]
            pieces.add(table[start : start + size])
            start += size
        assert bits(whole.now()) == bits(pieces.now())


@given(tables, st.integers(1, 30))
def test_they_are_those_of_numpy_without_what_is_missing(table: Any, block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "BLOCK_NUMBERS", block)
        found = statistics_of(table, 3)
    for column in range(3):
        there = table[~np.isnan(table[:, column]), column]
        assert found.count[column] == len(there)
        if len(there):
            assert found.mean[column] == pytest.approx(there.mean(), rel=1e-9, abs=1e-6)
            assert found.spread[column] == pytest.approx(there.std(), rel=1e-9, abs=1e-6)
            assert (found.least[column], found.greatest[column]) == (there.min(), there.max())


@given(tables)
def test_filled_in_values_count_as_if_they_had_been_there(table: Any) -> None:
    fills = np.array([1.0, -2.0, 30.0])
    expected = statistics_of(np.where(np.isnan(table), fills, table), 3)
    found = statistics_of(table, 3).filled(fills, len(table))
    np.testing.assert_allclose(found.array(), expected.array(), rtol=1e-9, atol=1e-5)


def test_the_numbers_of_sparse_rows_are_found_whether_zeros_are_written_or_not() -> None:
    written = CsrRows(
        np.array([0, 3, 6]), np.array([0, 1, 5, 0, 1, 7]), np.array([2, 0, 1, 3, 4, 1], np.float32)
    )
    left_out = CsrRows(np.array([0, 1, 4]), np.array([0, 0, 1, 7]), np.array([2, 3, 4, 1.0], "f4"))
    for rows in (written, left_out):
        assert numbers_of(rows, 2).tolist() == [[2, 0], [3, 4]]


@pytest.mark.parametrize("text", ["", ",red"])
def test_a_file_has_the_statistics_of_its_numbers_whatever_the_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    rows = "".join(f"{i / 7:.5f},{i % 5}{text},{i % 2}\n" for i in range(400))
    (tmp_path / "a.csv").write_text(f"a,b{text and ',c'},y\n{rows}")
    at_once = open_cached(str(tmp_path / "a.csv"), {}, tmp_path / "1").facts.statistics
    monkeypatch.setattr(lines, "BLOCK_BYTES", 100)
    in_blocks = open_cached(str(tmp_path / "a.csv"), {}, tmp_path / "2").facts.statistics
    assert at_once is not None
    assert in_blocks is not None
    assert bits(at_once) == bits(in_blocks)
    column = np.array([round(i / 7, 5) for i in range(400)], np.float32).astype(np.float64)
    assert at_once.mean[0] == pytest.approx(column.mean(), rel=1e-12)
    assert at_once.spread[1] == pytest.approx(np.sqrt(2))


def columns(n: int) -> Any:
    rng = np.random.default_rng(0)
    scales = np.array([1e-3, 1, 1e4, 0, 1])
    origins = np.array([0, 1e4, -5, 0.1, 1e7])
    return (rng.normal(size=(n, 5)) * scales + origins).astype(np.float32)


def test_a_constant_column_has_exactly_no_spread() -> None:
    table = columns(40_000)
    found = statistics_of(table, 5)
    assert (found.spread[3], found.mean[3]) == (0, np.float32(0.1))
    gaps = table.astype(np.float64)
    gaps[::7] = np.nan
    assert statistics_of(gaps, 5).spread[3] == 0


def test_weighted_ones_are_those_of_scikit_learn_and_of_repeated_rows() -> None:
    x, times = columns(5000), np.random.default_rng(1).integers(0, 4, 5000)
    times[0] = 0
    x[times == 0, 3] = 7  # constant where it counts
    found, wide = statistics_of(x, 5, times.astype(np.float32) / 300), x.astype(np.float64)
    theirs = StandardScaler().fit(wide, sample_weight=times)
    np.testing.assert_allclose(found.mean, theirs.mean_, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found.spread[:3], np.sqrt(theirs.var_[:3]), rtol=1e-6)
    repeated = statistics_of(x.repeat(times, axis=0), 5)
    np.testing.assert_allclose(found.spread, repeated.spread, rtol=1e-9)
    assert (found.spread[3], found.greatest[3]) == (0, repeated.greatest[3])


def test_leading_numbers_of_sparse_examples_count_with_their_zeros() -> None:
    x = columns(300)
    x[::3, 0] = 0
    matrix = csr_array(np.ones((300, 6), np.float32))
    matrix.data = np.concatenate([x, np.ones((300, 1), np.float32)], axis=1).ravel()
    assert bits(statistics_of(matrix, 5)) == bits(statistics_of(x, 5))


def test_targets_have_statistics_as_a_column_has() -> None:
    y = columns(500)[:, 2]
    assert bits(target_statistics(y)) == bits(statistics_of(y[:, None], 1))
