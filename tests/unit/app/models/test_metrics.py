"""Scores are sums: parts add up to the whole."""

from __future__ import annotations

import json
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.metrics import accuracy_score, log_loss, r2_score, root_mean_squared_error

from distbelief.app.errors import ConfigError, ModelError
from distbelief.app.layout.tensors import Vector
from distbelief.app.models.criterion import metric_of
from distbelief.app.models.linear import LinearRegression, LogisticRegression, SoftmaxRegression
from distbelief.app.models.metric import Metric, better
from distbelief.app.models.metrics import Score, score
from distbelief.app.models.mlp import MLP
from distbelief.app.models.model import Features, Task
from distbelief.app.models.parameters import whole

sums = st.floats(0, 1e6)
scores = st.builds(Score, st.integers(1, 10**9), sums, st.integers(0, 10**9), sums)


def test_accuracy_and_loss_of_two_classes_are_those_of_scikit_learn() -> None:
    features, labels = load_breast_cancer(return_X_y=True)
    features = features / features.max(axis=0)
    model = LogisticRegression(features.shape[1])
    parameters = np.random.default_rng(0).normal(size=features.shape[1] + 1)
    found = score(whole(model, parameters), features, labels, chunk=100)
    probabilities = model.predict(parameters, features)
    assert found.accuracy == accuracy_score(labels, probabilities > 0.5)
    assert found.loss == pytest.approx(log_loss(labels, probabilities))


def test_accuracy_and_loss_of_many_classes_are_those_of_scikit_learn() -> None:
    features, labels = load_iris(return_X_y=True)
    model = MLP(4, 3, (5,))
    parameters = model.initial(np.random.default_rng(0))
    found = score(whole(model, parameters), features, labels, chunk=100)
    probabilities = model.predict(parameters, features)
    assert found.accuracy == accuracy_score(labels, probabilities.argmax(axis=1))
    assert found.loss == pytest.approx(log_loss(labels, probabilities))


def test_rmse_is_that_of_scikit_learn() -> None:
    features, targets = load_diabetes(return_X_y=True)
    model = LinearRegression(10)
    parameters = np.random.default_rng(0).normal(size=11)
    found = score(whole(model, parameters), features, targets, chunk=100)
    expected = root_mean_squared_error(targets, model.predict(parameters, features))
    assert found.rmse == pytest.approx(expected)
    assert found.loss == pytest.approx(expected**2 / 2)


def test_r2_of_parts_is_that_of_scikit_learn_of_the_whole() -> None:
    features, targets = load_diabetes(return_X_y=True)
    targets += 1e5
    model = LinearRegression(10)
    parameters = np.append(300 * np.random.default_rng(0).normal(size=10), targets.mean())
    found = score(whole(model, parameters), features, targets, chunk=100)
    assert found.r2 == pytest.approx(r2_score(targets, model.predict(parameters, features)))
    assert found.baseline == pytest.approx(targets.std())
    assert math.isnan(Score(3).r2)


@given(chunk=st.integers(1, 40), seed=st.integers(0, 100))
def test_the_score_of_the_whole_is_exactly_the_sum_over_its_chunks(chunk: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    model, features, labels = SoftmaxRegression(3, 4), rng.normal(size=(30, 3)), np.arange(30) % 4
    parameters = rng.normal(size=16)
    parts = [slice(start, start + chunk) for start in range(0, 30, chunk)]
    total = Score()
    for part in parts:
        total += score(whole(model, parameters), features[part], labels[part])
    assert score(whole(model, parameters), features, labels, chunk) == total


@given(chunk=st.integers(1, 40))
def test_the_size_of_the_chunks_changes_no_more_than_rounding(chunk: int) -> None:
    rng = np.random.default_rng(0)
    model, features, labels = SoftmaxRegression(3, 4), rng.normal(size=(30, 3)), np.arange(30) % 4
    parameters = rng.normal(size=16)
    source = whole(model, parameters)
    complete, found = (score(source, features, labels, c) for c in (30, chunk))
    assert (found.n_examples, found.correct) == (complete.n_examples, complete.correct)
    assert found.loss_sum == pytest.approx(complete.loss_sum)


@given(a=scores, b=scores)
def test_addition_of_scores_commutes(a: Score, b: Score) -> None:
    assert a + b == b + a


@given(a=scores)
def test_the_empty_score_is_the_zero_of_addition(a: Score) -> None:
    assert Score() + a == a


@given(a=scores)
def test_a_score_survives_json_to_the_last_bit(a: Score) -> None:
    assert Score.from_json(json.loads(json.dumps(a.to_json()))) == a


def test_a_score_without_examples_has_no_metric() -> None:
    assert math.isnan(Score().loss)
    for metric in Metric:
        assert math.isnan(Score().metric(metric))


def test_scoring_needs_memory_for_a_chunk_and_not_for_all_examples() -> None:
    features = np.zeros((100_000, 10), np.float32)
    labels = np.zeros(100_000, np.int64)
    model = SoftmaxRegression(10, 5)
    parameters = model.initial(np.random.default_rng(0))
    tracemalloc.start()
    score(whole(model, parameters), features, labels, chunk=1000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * features[:1000].nbytes


@pytest.mark.parametrize("model", [LogisticRegression(2), SoftmaxRegression(2, 3)], ids=repr)
def test_a_diverged_model_is_credited_with_nothing(
    model: LogisticRegression | SoftmaxRegression,
) -> None:
    parameters = np.full(model.initial(np.random.default_rng(0)).shape, np.nan)
    found = score(whole(model, parameters), np.ones((5, 2)), np.zeros(5, int))
    assert found.accuracy == 0
    assert math.isnan(found.loss)


class ColumnOfValues(LinearRegression):
    """A user's model whose predictions would broadcast against the targets."""

    def predict(self, parameters: Vector, features: Features) -> Vector:
        return super().predict(parameters, features)[:, np.newaxis]


def test_predictions_of_a_wrong_shape_are_refused() -> None:
    message = r"predictions of a regression model must have shape \(5\), got \(5, 1\)"
    with pytest.raises(ModelError, match=message):
        score(whole(ColumnOfValues(2), np.zeros(3)), np.ones((5, 2)), np.zeros(5))


@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTICLASS])
def test_the_metric_of_classification_is_accuracy_unless_another_is_chosen(task: Task) -> None:
    assert metric_of(task, None) is Metric.ACCURACY
    assert metric_of(task, "log_loss") is Metric.LOG_LOSS
    assert Score(10, correct=9).metric(Metric.ACCURACY) == 0.9


def test_the_metric_of_regression_is_rmse() -> None:
    assert metric_of(Task.REGRESSION, None) is Metric.RMSE
    assert Score(4, squared_error=36.0).metric(Metric.RMSE) == 3


MISFITS = [
    (Task.REGRESSION, "accuracy", "use rmse"),
    (Task.REGRESSION, "auc", "use rmse"),
    (Task.BINARY, "rmse", "use accuracy or auc or log_loss"),
    (Task.MULTICLASS, "auc", "use accuracy or log_loss"),
]


@pytest.mark.parametrize(("task", "name", "advice"), MISFITS)
def test_a_metric_that_does_not_fit_is_refused(task: Task, name: str, advice: str) -> None:
    with pytest.raises(ConfigError, match=f"metric = {name} does not fit a {task} model: {advice}"):
        metric_of(task, name)


@pytest.mark.parametrize("metric", [Metric.ACCURACY, Metric.AUC])
def test_more_is_better(metric: Metric) -> None:
    assert better(metric, 0.9, 0.8)
    assert not better(metric, 0.8, 0.9)


@pytest.mark.parametrize("metric", [Metric.LOG_LOSS, Metric.RMSE])
def test_less_is_better(metric: Metric) -> None:
    assert better(metric, 0.8, 0.9)
    assert not better(metric, 0.9, 0.8)


@pytest.mark.parametrize("metric", Metric)
def test_an_equal_value_is_not_better(metric: Metric) -> None:
    assert not better(metric, 0.5, 0.5)


@pytest.mark.parametrize("metric", Metric)
def test_any_number_is_better_than_nan(metric: Metric) -> None:
    assert better(metric, 0.5, math.nan)
    assert not better(metric, math.nan, 0.5)
    assert not better(metric, math.nan, math.nan)
