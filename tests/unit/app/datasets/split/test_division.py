"""Parts by class, by an order, and at random: what belongs where, on any machine."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distbelief.app.datasets.split import division
from distbelief.app.datasets.split.division import (
    HELDOUT,
    TEST,
    TRAIN,
    Shares,
    at_random,
    by_class,
    by_order,
)
from distbelief.app.datasets.split.partition import ListedRows, Subset, in_file_order, portion
from distbelief.app.errors import DataError

sizes = st.integers(4, 300)
shares = st.sampled_from([(0.25, 0.0), (0.2, 0.2), (0.5, 0.25)])


@pytest.fixture(autouse=True, params=[7, 1 << 18])
def _chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything holds whatever the size of the chunks."""
    monkeypatch.setattr(division, "CHUNK", request.param)


@given(n=sizes, share=shares, seed=st.integers(0, 5))
def test_three_parts_at_random_hold_each_example_once(n: int, share: Any, seed: int) -> None:
    parts = at_random(Shares(n, *share), seed)
    rows = [*parts.train[:], *parts.heldout[:], *parts.test[:]]
    assert sorted(rows) == list(range(n))
    assert len(parts.heldout) == round(n * share[0])
    assert len(parts.test) == round(n * share[1])


def test_what_is_held_out_at_random_does_not_depend_on_a_test() -> None:
    for seed in range(3):
        alone, beside = (at_random(Shares(100, 0.2, test), seed) for test in (0.0, 0.3))
        assert np.array_equal(alone.heldout[:], beside.heldout[:])


@given(n=sizes, share=shares, classes=st.integers(1, 6), seed=st.integers(0, 5))
def test_each_class_has_its_share(n: int, share: Any, classes: int, seed: int) -> None:
    labels = np.random.default_rng(seed).geometric(0.4, n).clip(max=classes) - 1
    parts = by_class(labels, classes, Shares(n, *share), seed)
    counts = np.bincount(labels, minlength=classes)
    for part, wanted in zip((HELDOUT, TEST), share, strict=True):
        found = np.bincount(labels[parts == part], minlength=classes)
        assert (np.abs(found - counts * wanted) <= 1).all()
        if counts.min() > classes:
            assert found.sum() == round(n * wanted)
    assert (np.bincount(labels[parts == TRAIN], minlength=classes)[counts > 0] > 0).all()


def test_a_class_of_one_example_is_trained_on() -> None:
    parts = by_class(np.array([0] * 9 + [1]), 2, Shares(10, 0.5), seed=0)
    assert parts[9] == TRAIN
    assert (parts == HELDOUT).sum() == 5


def test_parts_by_class_are_those_of_every_machine() -> None:
    labels = np.arange(5000) % 7
    parts = by_class(labels, 7, Shares(5000, 0.2, 0.1), seed=3)
    assert hashlib.sha256(parts.tobytes()).hexdigest()[:16] == "29bc5b46e4f3cc52"
    assert not np.array_equal(parts, by_class(labels, 7, Shares(5000, 0.2, 0.1), seed=4))


numbers = st.one_of(
    st.integers(-3, 3).map(float),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 1.7e15, 1.7e15 + 1]),
)


@given(values=st.lists(numbers, min_size=4, max_size=120), share=shares)
def test_the_last_by_an_order_are_those_of_a_stable_sort(values: list[float], share: Any) -> None:
    n, array = len(values), np.array(values)
    wanted = Shares(n, *share)
    parts = by_order(array, wanted)
    order = np.argsort(array, kind="stable")
    expected = np.zeros(n, np.uint8)
    expected[order[wanted.n_train :]] = HELDOUT
    expected[order[wanted.n_train + wanted.n_heldout :]] = TEST
    assert np.array_equal(parts, expected)


@given(n=st.integers(1, 400), seed=st.integers(0, 5))
def test_listed_rows_are_given_out_as_shuffled_ones_are(n: int, seed: int) -> None:
    chosen = np.flatnonzero(np.random.default_rng(seed).random(n) < 0.6)
    if not len(chosen):
        return
    part = ListedRows(chosen, n, "key")
    assert sorted(part[:]) == chosen.tolist()
    assert np.array_equal(part[np.array([0, len(part) - 1])], part[:][[0, -1]])
    for n_portions in (1, 3, 10):
        pieces = [rows for i in range(n_portions) for rows in portion(part, i, n_portions)]
        assert np.concatenate(pieces).tolist() == chosen.tolist()
    assert np.concatenate(list(in_file_order(part))).tolist() == chosen.tolist()
    n_subsets = min(3, len(part))
    subsets = [Subset(part, i, n_subsets, seed) for i in range(n_subsets)]
    seen = [subset.minibatch(0, len(subset)) for subset in subsets]
    assert sorted(np.concatenate(seen)) == chosen.tolist()


@pytest.mark.parametrize(
    ("holdout", "test", "words"),
    [
        (0.01, 0, "holdout 0.01 of 10 examples leaves none held out"),
        (0.99, 0, "holdout 0.99 of 10 examples leaves none to train on"),
        (0.2, 0.01, "test 0.01 of 10 examples leaves none to test on"),
        (0.5, 0.5, "holdout 0.5 and test 0.5 of 10 examples leave none to train on"),
        (1.0, 0, "holdout must be at least 0 and below 1, got 1.0"),
    ],
)
def test_shares_that_leave_a_part_empty_are_refused(
    holdout: float, test: float, words: str
) -> None:
    with pytest.raises(DataError, match=re.escape(words)):
        Shares(10, holdout, test)
