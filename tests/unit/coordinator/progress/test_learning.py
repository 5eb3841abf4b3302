"""Whether a model has learned anything is said in one sentence, and only where it is certain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.metrics import log_loss

from distbelief.app.models.metrics import Score
from distbelief.app.models.model import Task
from distbelief.coordinator.progress.learning import ADVICE, nothing_learned

#: All 10 answers are the commonest class, of which there are 6.
CLASSES = Score(10, correct=6, log_loss_sum=6.8, confusion=((6, 0, 0), (4, 0, 0)))
NUMBERS = Score(4, squared_error=16.5, target_squares=16.0)


def test_the_log_loss_of_a_constant_is_that_of_scikit_learns_dummy() -> None:
    labels = np.array([0] * 6 + [1] * 4)
    dummy = DummyClassifier(strategy="prior").fit(labels[:, None], labels)
    expected = log_loss(labels, dummy.predict_proba(labels[:, None]))
    assert CLASSES.constant_log_loss == pytest.approx(expected)
    assert np.isnan(Score(10, correct=6).constant_log_loss)


def test_a_model_that_always_answers_the_same_has_learned_nothing() -> None:
    assert nothing_learned(CLASSES, Task.BINARY, heldout=True) == (
        "the model has learned nothing, it is no better than always the commonest class: accuracy "
        f"0.6000, log loss 0.6800 on 10 held-out examples, beside 0.6000 and 0.6730; {ADVICE}"
    )
    assert nothing_learned(NUMBERS, Task.REGRESSION, heldout=False) == (
        "the model has learned nothing, it is no better than always the mean: rmse 2.0310 on 4 "
        f"training examples, beside 2.0000; {ADVICE}"
    )


@pytest.mark.parametrize(
    ("score", "task"),
    [
        (replace(CLASSES, log_loss_sum=6.5), Task.BINARY),  # a rare class has better chances
        (replace(CLASSES, correct=8), Task.BINARY),  # too certain, and yet more often right
        (replace(CLASSES, confusion=()), Task.BINARY),  # nobody knows
        (replace(CLASSES, correct=10, confusion=((10, 0, 0), (0, 0, 0))), Task.BINARY),
        (replace(NUMBERS, squared_error=15.0), Task.REGRESSION),
        (replace(NUMBERS, target_squares=0.0), Task.REGRESSION),
    ],
)
def test_nothing_is_said_of_others(score: Score, task: Task) -> None:
    assert nothing_learned(score, task, heldout=True) == ""
