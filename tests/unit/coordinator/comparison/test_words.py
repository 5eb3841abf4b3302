"""The first three sentences of a comparison say what its numbers say, and nothing else."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distbelief.coordinator.comparison.summary import Spread
from distbelief.coordinator.comparison.words import compared, number, sentences
from tests.unit.coordinator.comparison.made_up import (
    EVEN,
    FAILS,
    HOLDS,
    RATES,
    grid,
    outcomes,
    summary,
)


def told(cpu_s, good_rates=None, share_of_bytes=None, names=tuple(HOLDS)):
    over = grid(names)
    return sentences(summary(over, outcomes(over, cpu_s, good_rates, share_of_bytes)))


def test_where_the_statement_of_the_paper_holds_it_is_said_with_numbers() -> None:
    _, resources, _ = told(HOLDS)
    assert 'needs fewer resources than Sandblaster L-BFGS" holds here' in resources
    assert "Downpour 1.1 s (1 to 1.2) (3 of 3 seeds, 2 replicas)" in resources
    assert "against Sandblaster never (6 s at best) (1 of 3 seeds, 2 replicas)" in resources
    assert "in examples it needs less, in bytes it needs less." in resources


def test_where_it_does_not_hold_that_is_said() -> None:
    _, resources, _ = told(FAILS)
    assert '" does not hold here' in resources
    assert "Downpour 5 s (4 to 6)" in resources
    assert "Sandblaster 2 s (1 to 3)" in resources
    assert "in examples it needs more" in resources


def test_where_spreads_overlap_neither_is_said() -> None:
    _, resources, _ = told(EVEN)
    assert "can neither be held nor refuted here" in resources


def test_one_seed_judges_nothing() -> None:
    over = grid(n_seeds=1)
    found = outcomes(over, {name: needed[:1] for name, needed in FAILS.items()})
    _, resources, _ = sentences(summary(over, found))
    assert "cannot be judged by one seed: in CPU seconds Downpour 4 s" in resources


def test_resources_that_disagree_are_told_apart() -> None:
    slow = {**HOLDS, "sandblaster": (6.0, 7.0, 8.0)}
    _, resources, _ = told(slow, share_of_bytes={"downpour-adagrad": 20.0})
    assert '" holds here' in resources
    assert "in bytes it needs more." in resources


def test_the_outcome_names_the_cheapest_the_dearest_and_those_that_never_got_there() -> None:
    outcome, _, _ = told(HOLDS)
    assert outcome == (
        "To a held-out accuracy of 0.9, one process, SGD needed least: 0.6 s (0.5 to 0.7) of CPU; "
        "of the others that got there Downpour, fixed rate (2 replicas) needed most: 3.2 s (3 to "
        "never); never got there: Sandblaster L-BFGS (2 replicas)."
    )


def test_where_nobody_reached_the_target_that_is_the_outcome() -> None:
    nobody = dict.fromkeys(HOLDS, (None, None, None))
    outcome, resources, _ = told(nobody)
    assert outcome == "No method reached a held-out accuracy of 0.9 with half of its seeds."
    assert "can neither be held nor refuted" in resources
    assert "Downpour never (0 of 3 seeds" in resources


def test_robustness_is_said_by_the_rates_that_led_to_the_target() -> None:
    _, _, holds = told(HOLDS, {"downpour": RATES[:1]})
    assert 'make Downpour robust" holds here' in holds
    assert "1 of 2 led to the accuracy with a fixed rate, 2 of 2 with Adagrad" in holds
    _, _, fails = told(HOLDS, {"downpour-adagrad": RATES[:1]})
    assert 'robust" does not hold here' in fails
    _, _, unseen = told(HOLDS)
    assert 'robust" cannot be seen here' in unseen


def test_what_was_not_tried_is_not_judged() -> None:
    names = ("numpy", "sandblaster")
    _, resources, robustness = told({name: HOLDS[name] for name in names}, names=names)
    assert "was not tried here" in resources
    assert "was not tried here" in robustness


figures = st.floats(0.001, 1e6)


@given(st.lists(figures, min_size=1), st.lists(figures, min_size=1))
def test_one_is_less_only_if_it_is_less_with_every_pair_of_seeds(ours, theirs) -> None:
    found = compared(Spread.of(ours), Spread.of(theirs))
    assert (found == -1) == all(a < b for a in ours for b in theirs)
    assert compared(Spread.of(theirs), Spread.of(ours)) == -found


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.09412, "0.0941"), (12345.6, "12,346"), (math.inf, "never"), (math.nan, "unknown")],
)
def test_numbers_have_three_digits(value: float, expected: str) -> None:
    assert number(value) == expected
