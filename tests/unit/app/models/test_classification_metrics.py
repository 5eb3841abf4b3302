"""Log loss, precision, recall and confusion, against scikit-learn, parts against the whole."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    confusion_matrix,
    log_loss,
    precision_score,
    recall_score,
    roc_auc_score,
)

from distbelief.app.errors import ModelError
from distbelief.app.layout.tensors import TensorSpec, Vector
from distbelief.app.models.auc import Ranks
from distbelief.app.models.metrics import Score, score
from distbelief.app.models.model import Features, Targets, Task
from distbelief.app.models.parameters import whole
from distbelief.app.models.predictions import likeliest
from distbelief.app.models.sums import MOST_CLASSES


@dataclass(frozen=True)
class Parrot:
    """A model whose predictions are its features."""

    task: Task
    tensors: tuple[TensorSpec, ...] = ()

    def initial(self, rng: np.random.Generator) -> Vector:
        return np.zeros(0)

    def loss_and_gradient(
        self, parameters: Vector, features: Features, targets: Targets, gradient: Vector
    ) -> float:
        return 1.0

    def predict(self, parameters: Vector, features: Features) -> Vector:
        return features[:, 0] if self.task is Task.BINARY else features


def judged(predictions: Any, labels: Any, chunk: int = 4096, **how: Any) -> Score:
    """The score of a model that predicted this; binary if it is one number each."""
    predictions = np.asarray(predictions)
    task = Task.BINARY if predictions.ndim == 1 else Task.MULTICLASS
    features = predictions[:, np.newaxis] if predictions.ndim == 1 else predictions
    return score(whole(Parrot(task), np.zeros(0)), features, np.array(labels), chunk, **how)


chances = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.floats(0, 1, width=32))
binary = st.lists(st.tuples(chances, st.integers(0, 1)), min_size=1, max_size=40)
dtypes = st.sampled_from([np.float32, np.float64])


@given(pairs=binary, threshold=st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0]), dtype=dtypes)
def test_binary_figures_are_those_of_scikit_learn(
    pairs: list[tuple[float, int]], threshold: float, dtype: type
) -> None:
    predictions: Vector = np.array([chance for chance, _ in pairs], dtype)
    labels = [label for _, label in pairs]
    found, answers = judged(predictions, labels, threshold=threshold), predictions > threshold
    assert found.accuracy == np.mean(answers == labels)
    matrix = np.array(found.confusion)
    assert np.array_equal(matrix[:, :2], confusion_matrix(labels, answers, labels=[0, 1]))
    assert not matrix[:, 2].any()
    rules = {"zero_division": np.nan}
    for ours, oracle in ((found.precision, precision_score), (found.recall, recall_score)):
        assert ours == pytest.approx(oracle(labels, answers, **rules), nan_ok=True)
    assert found.log_loss == pytest.approx(log_loss(labels, predictions, labels=[0, 1]), rel=1e-6)


@given(pairs=binary, threshold=st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0]))
def test_two_outputs_are_judged_as_one(pairs: list[tuple[float, int]], threshold: float) -> None:
    """By the probability of the second class, which is the positive one."""
    chances: Vector = np.array([round(chance * 64) / 64 for chance, _ in pairs])
    labels = np.array([label for _, label in pairs])
    both = np.stack([1 - chances, chances], axis=1)
    alone, gathered, apart = judged(chances, labels, threshold=threshold), Ranks(), Ranks()
    together = judged(both, labels, threshold=threshold, seen=gathered.add, histogram=True)
    apart.add(chances, labels)
    assert replace(together, histogram=()) == alone
    assert gathered.auc() == apart.auc()
    if apart.auc() is not None:
        assert gathered.auc() == pytest.approx(roc_auc_score(labels, chances))


@given(pairs=binary, dtype=dtypes)
def test_at_one_half_the_higher_of_two_outputs_wins(
    pairs: list[tuple[float, int]], dtype: type
) -> None:
    chances: Vector = np.array([chance for chance, _ in pairs], dtype)
    both = np.stack([1 - chances, chances], axis=1)
    assert likeliest(both, 0.5).tolist() == np.argmax(both, axis=1).tolist()


@given(seed=st.integers(0, 1000), n_classes=st.integers(3, 7), dtype=dtypes)
def test_figures_of_many_classes_are_those_of_scikit_learn(
    seed: int, n_classes: int, dtype: type
) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, 30)
    predictions: Vector = rng.dirichlet(np.full(n_classes, 0.3), 30).astype(dtype)
    found, names = judged(predictions, labels), list(range(n_classes))
    expected = confusion_matrix(labels, predictions.argmax(axis=1), labels=names)
    assert np.array_equal(np.array(found.confusion)[:, :-1], expected)
    assert found.correct == np.trace(expected)
    oracle = log_loss(labels, predictions, labels=names)
    assert found.log_loss == pytest.approx(oracle, rel=1e-5)


@given(pairs=binary, chunk=st.integers(1, 50), cut=st.integers(0, 40))
def test_any_parts_add_up_to_the_whole(
    pairs: list[tuple[float, int]], chunk: int, cut: int
) -> None:
    predictions, labels = [p for p, _ in pairs], [label for _, label in pairs]
    complete = judged(predictions, labels, histogram=True)
    joined = Score()
    for part in (slice(None, cut), slice(cut, None)):
        if labels[part]:
            joined += judged(predictions[part], labels[part], chunk, histogram=True)
    assert joined.log_loss_sum == pytest.approx(complete.log_loss_sum)
    assert replace(joined, log_loss_sum=0.0) == replace(complete, log_loss_sum=0.0)


def test_a_score_with_everything_survives_json() -> None:
    found = replace(judged([0.2, 0.8, 0.6], [0, 1, 0], histogram=True), auc=0.5, auc_exact=False)
    assert Score.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_a_score_of_an_older_run_has_no_confusion() -> None:
    old = {"n_examples": 4, "loss_sum": 1.0, "correct": 3, "squared_error": 0.0}
    assert Score.from_json(old) == Score(4, 1.0, 3)
    assert set(Score.from_json(old).measures(Task.BINARY)) == {
        "accuracy",
        "loss",
        "auc",
        "log_loss",
    }


def test_the_auc_of_parts_is_not_that_of_the_whole() -> None:
    part = Score(4, 1.0, 3, auc=0.9)
    assert (part + part).auc is None
    assert (part + Score()).auc == (Score() + part).auc == 0.9


def test_an_example_without_an_answer_is_no_answer_of_any_class() -> None:
    found = judged([math.nan, 0.9, math.nan], [1, 1, 0])
    assert found.confusion == ((0, 0, 1), (0, 1, 1))
    assert (found.correct, found.precision, found.recall) == (1, 1.0, 0.5)
    assert math.isnan(found.log_loss)
    many = judged([[0.1, math.nan, 0.8], [0.1, 0.1, 0.8]], [2, 2])
    assert many.confusion[2] == (0, 0, 1, 1)


def test_a_class_that_nobody_has_or_predicts_makes_no_number() -> None:
    assert math.isnan(judged([0.1, 0.2], [0, 1]).precision)
    assert math.isnan(judged([0.1, 0.9], [0, 0]).recall)


def test_labels_in_one_byte_are_counted_in_the_right_cells() -> None:
    predictions = np.eye(90)[[80, 81]]
    task = Parrot(Task.MULTICLASS)
    found = score(whole(task, np.zeros(0)), predictions, np.array([80, 89], np.uint8))
    assert (found.confusion[80][80], found.confusion[89][81]) == (1, 1)


def test_too_many_classes_have_no_confusion_matrix() -> None:
    many = MOST_CLASSES + 1
    found = judged(np.eye(many), range(many))
    assert (found.confusion, found.accuracy) == ((), 1.0)
    assert len(judged(np.eye(many - 1), range(many - 1)).confusion) == MOST_CLASSES


def test_predictions_without_a_column_for_a_class_are_refused() -> None:
    with pytest.raises(ModelError, match="there are 3, and an example of class 4"):
        judged(np.eye(3), [0, 1, 4])
