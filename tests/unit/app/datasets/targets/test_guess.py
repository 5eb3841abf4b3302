"""Labels and numbers are told apart as a person would, and where nobody could it is asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distbelief.app.datasets.targets.guess import Evidence, guess
from distbelief.app.datasets.targets.wanted import CLASSIFICATION, REGRESSION

#: Public data sets: examples, kinds of targets, whether these count 0, 1, ... or 1, 2, ...
WHOLE = {
    "iris": (150, 3, True, CLASSIFICATION),
    "digits": (1797, 10, True, CLASSIFICATION),
    "a9a": (32561, 2, False, CLASSIFICATION),
    "wine quality": (1599, 6, False, CLASSIFICATION),
    "20 newsgroups": (18846, 20, True, CLASSIFICATION),
    "covertype": (581012, 7, True, CLASSIFICATION),
    "two of two": (2, 2, False, CLASSIFICATION),
    "diabetes progression": (442, 214, False, REGRESSION),
    "Ames house prices": (1460, 663, False, REGRESSION),
    "weights of women": (15, 15, False, REGRESSION),
    "stopping distances": (50, 35, False, REGRESSION),
    "auto prices": (195, 145, False, REGRESSION),
    "flights": (1000000, None, False, REGRESSION),
    "ages of adult": (48842, 73, False, None),
    "rings of abalone": (4177, 28, False, None),
    "letters by number": (20000, 26, True, None),
    "faces": (400, 40, True, None),
    "years of songs": (515345, 89, False, None),
}


@pytest.mark.parametrize("name", WHOLE)
def test_whole_numbers_are_judged_by_how_many_and_how_often(name: str) -> None:
    n_examples, kinds, counted, task = WHOLE[name]
    assert guess(Evidence(n_examples, kinds=kinds, counted=counted))[0] == task


@given(
    st.builds(
        Evidence,
        n_examples=st.integers(1, 10**6),
        n_texts=st.integers(0, 3),
        codes=st.booleans(),
        fractions=st.booleans(),
        kinds=st.none() | st.integers(1, 1000),
    )
)
def test_a_guess_says_what_it_saw(seen: Evidence) -> None:
    task, what = guess(seen)
    assert what
    if seen.n_texts or seen.codes:
        assert task == CLASSIFICATION
    elif seen.fractions:
        assert task == REGRESSION
