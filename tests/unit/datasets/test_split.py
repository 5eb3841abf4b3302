"""Every example goes to exactly one place, and orders depend on the seed alone."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.datasets.split import Rows, Subset, split
from app.errors import DataError

SEEDS = st.integers(0, 2**70)


@st.composite
def subsets(draw: st.DrawFn) -> Subset:
    n_subsets = draw(st.integers(1, 10))
    train = np.arange(draw(st.integers(n_subsets, 60))) * 3  # rows need not be consecutive
    return Subset(train, draw(st.integers(0, n_subsets - 1)), n_subsets, draw(SEEDS))


def minibatches(subset: Subset, pass_number: int, batch_size: int) -> list[Rows]:
    steps = subset.steps_per_pass(batch_size)
    first = pass_number * steps
    return [subset.minibatch(step, batch_size) for step in range(first, first + steps)]


@given(n_examples=st.integers(1, 300), holdout=st.floats(0, 1, exclude_max=True), seed=SEEDS)
def test_training_and_heldout_data_partition_the_examples(
    n_examples: int, holdout: float, seed: int
) -> None:
    n_heldout = round(n_examples * holdout)
    assume(holdout == 0 or 0 < n_heldout < n_examples)
    train, heldout = split(n_examples, holdout, seed)
    assert len(heldout) == n_heldout
    assert sorted([*train, *heldout]) == list(range(n_examples))


def test_holding_out_nothing_trains_on_all() -> None:
    train, heldout = split(10, 0, seed=1)
    assert (len(train), len(heldout)) == (10, 0)


def test_a_split_is_a_function_of_the_seed() -> None:
    assert np.array_equal(split(100, 0.2, seed=3)[1], split(100, 0.2, seed=3)[1])
    assert not np.array_equal(split(100, 0.2, seed=3)[1], split(100, 0.2, seed=4)[1])


@pytest.mark.parametrize(
    ("n_examples", "holdout", "complaint"),
    [
        (0, 0.0, "at least one example"),
        (10, -0.1, "holdout must be at least 0 and below 1, got -0.1"),
        (10, 1.0, "holdout must be at least 0 and below 1, got 1.0"),
        (10, float("nan"), "holdout must be at least 0 and below 1, got nan"),
        (10, 0.01, "holdout 0.01 of 10 examples leaves none held out"),
        (10, 0.99, "holdout 0.99 of 10 examples leaves none to train on"),
    ],
)
def test_a_split_with_an_empty_side_is_refused(
    n_examples: int, holdout: float, complaint: str
) -> None:
    with pytest.raises(DataError, match=complaint):
        split(n_examples, holdout, seed=0)


@given(n_train=st.integers(1, 60), n_subsets=st.integers(1, 60), seed=SEEDS)
def test_subsets_partition_the_training_data_evenly(
    n_train: int, n_subsets: int, seed: int
) -> None:
    assume(n_subsets <= n_train)
    train, _ = split(n_train, 0, seed)
    parts = [Subset(train, index, n_subsets, seed).rows for index in range(n_subsets)]
    assert np.array_equal(np.concatenate(parts), train)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@given(subset=subsets(), pass_number=st.integers(0, 50), batch_size=st.integers(1, 80))
def test_each_pass_visits_each_example_once(
    subset: Subset, pass_number: int, batch_size: int
) -> None:
    visited = np.concatenate(minibatches(subset, pass_number, batch_size))
    assert sorted(visited) == sorted(subset.rows)


@given(subset=subsets(), batch_size=st.integers(1, 80))
def test_only_the_last_minibatch_of_a_pass_may_be_smaller(subset: Subset, batch_size: int) -> None:
    *full, last = map(len, minibatches(subset, 0, batch_size))
    assert all(size == batch_size for size in full)
    assert 1 <= last <= batch_size


@given(
    subset=subsets(), steps=st.lists(st.integers(0, 200), max_size=10), batch_size=st.integers(1, 9)
)
def test_a_minibatch_depends_on_nothing_that_was_asked_before(
    subset: Subset, steps: list[int], batch_size: int
) -> None:
    for step in steps:
        fresh = dataclasses.replace(subset)
        assert np.array_equal(subset.minibatch(step, batch_size), fresh.minibatch(step, batch_size))


def test_a_subset_smaller_than_a_minibatch_makes_one_step_per_pass() -> None:
    subset = Subset(np.arange(5), index=0, n_subsets=1, seed=0)
    assert subset.steps_per_pass(64) == 1
    assert sorted(subset.minibatch(3, 64)) == [0, 1, 2, 3, 4]


def test_the_order_is_the_documented_permutation() -> None:
    train = np.arange(100, 120)
    subset = Subset(train, index=1, n_subsets=2, seed=9)
    order = np.random.default_rng([9, 3, 1]).permutation(10)
    third_pass = 3 * subset.steps_per_pass(4)
    assert np.array_equal(subset.minibatch(third_pass + 1, 4), train[10:][order[4:8]])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Subset(np.arange(40), 0, 1, seed=1).minibatch(0, 40), np.arange(40)),
        (
            Subset(np.arange(40), 0, 1, seed=1).minibatch(0, 40),
            Subset(np.arange(40), 0, 1, seed=1).minibatch(1, 40),
        ),
        (
            Subset(np.arange(40), 0, 1, seed=1).minibatch(0, 40),
            Subset(np.arange(40), 0, 1, seed=2).minibatch(0, 40),
        ),
        (
            Subset(np.arange(40), 0, 2, seed=1).minibatch(0, 40),
            Subset(np.arange(40), 1, 2, seed=1).minibatch(0, 40) - 20,
        ),
        (Subset(np.arange(40), 0, 1, seed=1).minibatch(0, 40), split(40, 0, seed=1)[0]),
    ],
    ids=["shuffled", "by pass", "by seed", "by subset", "unlike the split"],
)
def test_orders_differ(one: Rows, other: Rows) -> None:
    assert not np.array_equal(one, other)


def test_a_pass_draws_its_order_once(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = []
    default_rng = np.random.default_rng

    def noted(seed: Any) -> np.random.Generator:
        draws.append(seed)
        return default_rng(seed)

    monkeypatch.setattr(np.random, "default_rng", noted)
    subset = Subset(np.arange(100), index=0, n_subsets=1, seed=5)
    minibatches(subset, 0, 10)
    minibatches(subset, 1, 10)
    assert draws == [[5, 0, 0], [5, 1, 0]]


def test_a_minibatch_cannot_be_written_to() -> None:
    minibatch = Subset(np.arange(10), index=0, n_subsets=1, seed=0).minibatch(0, 4)
    with pytest.raises(ValueError, match="read-only"):
        minibatch[0] = 7


def test_more_subsets_than_training_examples_are_refused() -> None:
    with pytest.raises(DataError, match="4 subsets are more than the 3 training examples"):
        Subset(np.arange(3), index=0, n_subsets=4, seed=0)


@pytest.mark.parametrize("index", [-1, 2])
def test_a_subset_that_does_not_exist_is_refused(index: int) -> None:
    with pytest.raises(DataError, match=f"subset {index} is not one of 2"):
        Subset(np.arange(10), index=index, n_subsets=2, seed=0)


def test_an_empty_minibatch_is_refused() -> None:
    with pytest.raises(DataError, match="at least one example, got 0"):
        Subset(np.arange(10), index=0, n_subsets=1, seed=0).minibatch(0, 0)
