"""Every example goes to exactly one place, and orders depend on the seed alone."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from distbelief.app.datasets.split import partition as splitting
from distbelief.app.datasets.split.partition import Rows, Subset, in_file_order
from distbelief.app.datasets.split.shuffle import Shuffle
from distbelief.app.errors import DataError
from tests.dividing import split

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
    assert sorted([*train[:], *heldout[:]]) == list(range(n_examples))


@given(n_examples=st.integers(1, 300), holdout=st.floats(0, 1, exclude_max=True), seed=SEEDS)
def test_a_part_knows_which_rows_it_holds(n_examples: int, holdout: float, seed: int) -> None:
    assume(holdout == 0 or 0 < round(n_examples * holdout) < n_examples)
    rows = np.arange(n_examples)
    for part in split(n_examples, holdout, seed):
        assert rows[part.holds(rows)].tolist() == sorted(part[:])


@pytest.mark.parametrize("which", [slice(3, 7), slice(5, 900), slice(None, None, 2), slice(9, 3)])
def test_a_part_is_cut_as_an_array_of_its_rows_is(which: slice) -> None:
    for part in split(100, 0.3, seed=2):
        assert np.array_equal(part[which], part[:][which])
        assert np.array_equal(part[np.array([[4, 0], [1, 1]])], part[:][[[4, 0], [1, 1]]])


def test_a_split_of_ten_billion_examples_is_made_at_once() -> None:
    train, heldout = split(10**10, 0.2, seed=0)
    assert (len(train), len(heldout)) == (8 * 10**9, 2 * 10**9)
    some = np.concatenate([train[-5:], heldout[-5:]])
    assert train.holds(some).tolist() == [True] * 5 + [False] * 5
    assert len(Subset(train, 3, 4, seed=0).minibatch(10**7, 32)) == 32


def test_holding_out_nothing_trains_on_all() -> None:
    train, heldout = split(10, 0, seed=1)
    assert (len(train), len(heldout)) == (10, 0)


def test_a_split_is_a_function_of_the_seed() -> None:
    assert np.array_equal(split(100, 0.2, seed=3)[1][:], split(100, 0.2, seed=3)[1][:])
    assert not np.array_equal(split(100, 0.2, seed=3)[1][:], split(100, 0.2, seed=4)[1][:])


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
    parts = [Subset(train, index, n_subsets, seed) for index in range(n_subsets)]
    visited = [sorted(part.minibatch(0, n_train)) for part in parts]
    assert sorted(itertools.chain(*visited)) == sorted(train[:])
    assert list(map(len, parts)) == list(map(len, visited))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_subset_is_a_range_of_the_shuffled_examples() -> None:
    train, _ = split(10, 0, seed=1)
    visited = [Subset(train, index, 3, seed=1).minibatch(0, 10) for index in range(3)]
    assert [sorted(rows) for rows in visited] == [
        sorted(train[:4]),
        sorted(train[4:7]),
        sorted(train[7:]),
    ]


@given(subset=subsets(), pass_number=st.integers(0, 50), batch_size=st.integers(1, 80))
def test_each_pass_visits_each_example_once(
    subset: Subset, pass_number: int, batch_size: int
) -> None:
    visited = np.concatenate(minibatches(subset, pass_number, batch_size))
    assert len(visited) == len(subset)
    assert sorted(visited) == sorted(subset.minibatch(0, len(subset)))


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
    order = Shuffle(10, "order/9/3/1").at(np.arange(10))
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
        (Subset(np.arange(40), 0, 1, seed=1).minibatch(0, 40), split(40, 0, seed=1)[0][:]),
    ],
    ids=["shuffled", "by pass", "by seed", "by subset", "unlike the split"],
)
def test_orders_differ(one: Rows, other: Rows) -> None:
    assert not np.array_equal(one, other)


@given(subset=subsets(), batch_size=st.integers(1, 9), stretch=st.integers(1, 30))
def test_minibatches_do_not_depend_on_how_many_are_computed_together(
    subset: Subset, batch_size: int, stretch: int
) -> None:
    expected = minibatches(subset, 1, batch_size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splitting, "STRETCH", stretch)
        computed = minibatches(dataclasses.replace(subset), 1, batch_size)
    assert [rows.tolist() for rows in computed] == [rows.tolist() for rows in expected]


def test_orders_are_computed_a_stretch_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    at = Shuffle.at

    def noted(shuffle: Shuffle, positions: Rows) -> Rows:
        sizes.append(len(positions))
        return at(shuffle, positions)

    monkeypatch.setattr(Shuffle, "at", noted)
    subset = Subset(np.arange(10_000), index=0, n_subsets=1, seed=5)
    minibatches(subset, 0, 10)
    assert sizes == [4090, 4090, 1820]


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


@given(n_examples=st.integers(1, 20_000), holdout=st.sampled_from([0.0, 0.2]))
def test_in_file_order_comes_every_training_example_once(n_examples: int, holdout: float) -> None:
    assume(holdout == 0 or 0 < round(n_examples * holdout) < n_examples)
    train, heldout = split(n_examples, holdout, seed=1)
    blocks = list(in_file_order(train))
    rows = np.concatenate(blocks)
    assert max(map(len, blocks)) <= 4096
    assert (np.diff(rows) > 0).all()
    assert sorted([*rows.tolist(), *heldout[:].tolist()]) == list(range(n_examples))
