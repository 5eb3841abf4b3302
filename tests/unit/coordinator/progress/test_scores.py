"""Scores are told in words, as a table, and for machines."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.errors import ConfigError
from distbelief.app.models.metric import Metric
from distbelief.app.models.metrics import Score
from distbelief.app.models.model import Task
from distbelief.app.settings.sections import ModelSettings
from distbelief.coordinator.progress.digits import brief
from distbelief.coordinator.progress.outcome import HeldoutEvaluation
from distbelief.coordinator.progress.scores import ScoreFormatter
from distbelief.coordinator.views.tracker import score_text

#: Score of 100 examples: 60 "no" (50 right), 40 "yes" (30 right).
SCORE = Score(100, 50.0, 80, log_loss_sum=25.0, confusion=((50, 10, 0), (10, 30, 0)), auc=0.876543)
TWO = ScoreFormatter(Task.BINARY, Metric.ACCURACY, ("no", "yes"), threshold=0.25)
THREE = ScoreFormatter(Task.MULTICLASS, Metric.ACCURACY, ("ash", "elm", "oak"))
NUMBERS = ScoreFormatter(Task.REGRESSION, Metric.RMSE)


def chosen(metric: Metric) -> ScoreFormatter:
    return replace(TWO, metric=metric)


def test_two_classes_are_told_by_accuracy_loss_and_auc() -> None:
    assert TWO.text(SCORE) == "accuracy 0.8000, loss 0.5, AUC 0.8765"
    assert TWO.rest(SCORE) == "log loss 0.2500, precision 0.7500, recall 0.7500 at threshold 0.25"


def test_the_chosen_metric_comes_first_and_no_figure_comes_twice() -> None:
    assert chosen(Metric.AUC).text(SCORE) == "AUC 0.8765, loss 0.5"
    assert chosen(Metric.LOG_LOSS).text(SCORE) == "log loss 0.2500, loss 0.5, AUC 0.8765"
    assert chosen(Metric.AUC).rest(SCORE).startswith("accuracy 0.8000, log loss 0.2500, precision")
    assert chosen(Metric.LOG_LOSS).rest(SCORE).startswith("accuracy 0.8000, precision")


def test_an_auc_by_histogram_is_called_so_wherever_it_is_shown() -> None:
    counted = replace(SCORE, auc_exact=False)
    assert TWO.text(counted).endswith("AUC (histogram) 0.8765")
    assert "AUC (histogram) 0.876543" in TWO.lines(counted)
    assert TWO.measures(counted)["auc_exact"] is False
    assert TWO.measures(SCORE)["auc_exact"] is True


def test_what_is_unknown_is_a_dash_for_people_and_null_for_machines() -> None:
    unknown = replace(SCORE, auc=None, confusion=((100, 0, 0), (0, 0, 0)))
    assert TWO.text(unknown).endswith("AUC - (one class only)")
    assert "precision -, recall -" in TWO.rest(unknown)
    document = json.loads(json.dumps(TWO.document(unknown), allow_nan=False))
    assert (document["auc"], document["precision"], document["recall"]) == (None, None, None)
    diverged = replace(SCORE, loss_sum=math.inf, log_loss_sum=math.nan)
    assert "loss inf" in TWO.text(diverged)
    assert (TWO.document(diverged)["loss"], TWO.document(diverged)["log_loss"]) == (None, None)


def test_an_auc_that_was_lost_is_said_to_be() -> None:
    found = HeldoutEvaluation(1, 1.0, 1.0, replace(SCORE, auc=None), auc_lost=True)
    assert score_text(found, TWO).endswith("AUC - (lost: the control server was restarted)")


def test_a_regression_has_its_error_and_nothing_else() -> None:
    score = Score(4, 8.0, squared_error=16.0)
    assert NUMBERS.text(score) == "rmse 2.0000, loss 2"
    assert NUMBERS.baseline(score) == []
    known = Score(4, 8.0, squared_error=16.0, target_squares=64.0)
    assert NUMBERS.text(known) == "rmse 2.0000, loss 2, R2 0.7500"
    assert NUMBERS.baseline(known) == ["always the mean: rmse 4.0000"]
    poor = Score(4, 8.0, squared_error=16.0, target_squares=16.0)
    assert NUMBERS.baseline(poor) == ["no better than always the mean: rmse 2.0000"]
    assert NUMBERS.rest(score) == ""
    assert NUMBERS.lines(score) == ["rmse 2", "loss 2"]
    assert NUMBERS.confusion(score) == []
    assert NUMBERS.document(score) == {"examples": 4, "metric": "rmse", "rmse": 2.0, "loss": 2.0}


def test_a_confusion_matrix_is_a_table_in_the_labels_of_the_data() -> None:
    score = Score(1010, confusion=((1000, 2, 0, 0), (0, 3, 0, 0), (1, 0, 4, 0)))
    assert THREE.confusion(score) == [
        "confusion (rows: true class, columns: predicted):",
        "        ash  elm  oak",
        "  ash  1000    2    0",
        "  elm     0    3    0",
        "  oak     1    0    4",
    ]


def test_examples_without_an_answer_have_a_column_of_their_own() -> None:
    score = Score(4, confusion=((1, 0, 2), (0, 1, 0)))
    assert TWO.confusion(score)[1:] == [
        "       no  yes  none",
        "   no   1    0     2",
        "  yes   0    1     0",
    ]


@pytest.mark.parametrize(("n_classes", "printed"), [(10, True), (11, False)])
def test_a_large_confusion_matrix_is_for_machines_only(n_classes: int, printed: bool) -> None:
    matrix = tuple(map(tuple, np.eye(n_classes, n_classes + 1, dtype=int).tolist()))
    score = Score(n_classes, confusion=matrix)
    score_formatter = ScoreFormatter(Task.MULTICLASS, Metric.ACCURACY, tuple(range(n_classes)))
    assert bool(score_formatter.confusion(score)) is printed
    assert score_formatter.document(score)["confusion"] == matrix


def test_a_document_names_the_classes_of_its_confusion_matrix() -> None:
    document = json.loads(json.dumps(TWO.document(SCORE)))
    assert document["classes"] == ["no", "yes"]
    assert document["confusion"] == [[50, 10, 0], [10, 30, 0]]
    assert document["examples"] == 100
    assert document["threshold"] == 0.25


def test_a_yardstick_knows_labels_and_threshold_of_its_model() -> None:
    schema = Schema(3, 2, labels=("ham", "spam"))
    found = ScoreFormatter.of(Task.BINARY, ModelSettings(threshold=0.9), schema, "auc")
    assert found == ScoreFormatter(Task.BINARY, Metric.AUC, ("ham", "spam"), 0.9)
    with pytest.raises(ConfigError, match="metric = rmse does not fit a binary model"):
        ScoreFormatter.of(Task.BINARY, ModelSettings(), schema, "rmse")


def test_a_document_in_words_has_its_figures() -> None:
    assert brief(NUMBERS.document(Score(4, 8.0, squared_error=16.0))) == "rmse 2.0000, loss 2.0000"
    told = brief(TWO.document(replace(SCORE, auc=None)))
    assert told.startswith("accuracy 0.8000, loss 0.5000, AUC -, log loss 0.2500")
    assert "AUC (histogram) 0.8765" in brief(TWO.document(replace(SCORE, auc_exact=False)))


def test_a_log_loss_that_is_the_loss_is_not_said_again() -> None:
    same = replace(SCORE, loss_sum=25.0)
    assert TWO.rest(same) == "precision 0.7500, recall 0.7500 at threshold 0.25"


def test_a_confusion_matrix_of_weights_has_one_decimal_or_two_digits() -> None:
    *_, last = TWO.confusion(replace(SCORE, confusion=((1.5, 2.0, 0.0), (30.25, 4.0, 0.0))))
    assert last.split() == ["yes", "30.2", "4.0"]
    *_, last = TWO.confusion(replace(SCORE, confusion=((0.1, 0.0, 0.0), (0.00123, 0.0, 0.0))))
    assert last.split() == ["yes", "0.0012", "0.0"]
