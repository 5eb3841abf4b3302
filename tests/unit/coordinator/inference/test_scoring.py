"""A saved model is used without any server."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, roc_auc_score

from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.datasets.sources import synthetic
from distbelief.app.errors import DataError
from distbelief.app.models import auc
from distbelief.app.models.files import SavedModel
from distbelief.app.settings.config import RunConfig
from distbelief.app.settings.sections import ModelSettings
from distbelief.coordinator.inference import predicting, scoring
from distbelief.coordinator.inference.predicting import Predictor
from distbelief.coordinator.inference.trained_model import TrainedModel
from tests.dividing import split

Run = Callable[..., Any]
OPTIONS = {"examples": 200, "features": 3}


def saved(kind: str, **settings: Any) -> SavedModel:
    """A model that holds the truth of the synthetic problem of its kind."""
    problem = getattr(synthetic, kind)(**OPTIONS)
    model = {"linear": "linear", "logistic": "logistic", "softmax": "softmax"}[kind]
    truth = np.concatenate([problem.weights.ravel(), problem.bias]).astype(np.float32)
    config = RunConfig(data=f"synthetic:{kind}", model=model, **settings)
    facts = {"config": config.model_dump(mode="json")}
    return SavedModel(ModelSettings(model=model), Schema(3, problem.n_classes), truth, facts=facts)


def predict(model: SavedModel, *words: Any) -> tuple[list[Any], Any]:
    """Answers and probabilities of the answers, of all examples."""
    found = list(Predictor(model, *words))
    answers = list(itertools.chain(*(each.answers for each in found)))
    chances = np.concatenate([each.chances for each in found])
    names = model.schema.names
    rows = [row[names.index(answer)] for row, answer in zip(chances, answers, strict=True) if names]
    return answers, np.array(rows)


@pytest.mark.parametrize("kind", ["logistic", "softmax"])
def test_accuracy_is_the_share_of_the_examples_predicted_right(kind: str) -> None:
    model = saved(kind)
    score = scoring.evaluate(model, f"synthetic:{kind}", OPTIONS)
    classes, _ = predict(model, f"synthetic:{kind}", OPTIONS)
    labels = getattr(synthetic, kind)(**OPTIONS).targets
    assert score.n_examples == 200
    assert score.accuracy == np.mean(np.array(classes) == labels) > 0.4


@pytest.mark.parametrize("kind", ["logistic", "softmax"])
def test_the_probability_is_that_of_the_predicted_class(kind: str) -> None:
    model, problem = saved(kind), getattr(synthetic, kind)(**OPTIONS)
    logits = problem.features @ problem.weights + problem.bias
    if kind == "logistic":
        logits = np.column_stack([np.zeros(len(logits)), logits])
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    classes, chances = predict(model, f"synthetic:{kind}", OPTIONS)
    assert np.array_equal(classes, expected.argmax(axis=1))
    np.testing.assert_allclose(chances, expected.max(axis=1), rtol=1e-5)


def test_a_regression_predicts_values_without_probabilities() -> None:
    values, chances = predict(saved("linear"), "synthetic:linear", OPTIONS)
    assert np.array_equal(values, synthetic.linear(**OPTIONS).targets)
    assert not len(chances)


def test_parts_are_those_of_the_training() -> None:
    model = saved("softmax", seed=5, holdout=0.3)
    train, heldout = split(200, 0.3, 5)
    parts = {
        part: scoring.evaluate(model, "synthetic:softmax", OPTIONS, part)
        for part in ("all", "train", "heldout")
    }
    assert parts["train"].n_examples == len(train)
    assert parts["heldout"].n_examples == len(heldout)
    assert parts["train"].correct + parts["heldout"].correct == parts["all"].correct
    model = saved("softmax", seed=5, holdout=0.3, test=0.1, split="stratified")
    three = [
        scoring.evaluate(model, "synthetic:softmax", OPTIONS, part)
        for part in ("train", "heldout", "test")
    ]
    assert [part.n_examples for part in three] == [120, 60, 20]
    assert sum(part.correct for part in three) == parts["all"].correct


def test_a_part_that_the_training_did_not_have_is_named() -> None:
    with pytest.raises(DataError, match="holdout 0: there is no part heldout"):
        scoring.evaluate(saved("softmax", holdout=0.0), "synthetic:softmax", OPTIONS, "heldout")
    with pytest.raises(DataError, match="test 0: there is no part test"):
        scoring.evaluate(saved("softmax"), "synthetic:softmax", OPTIONS, "test")


def test_a_file_may_lack_some_classes(tmp_path: Path) -> None:
    file = tmp_path / "few.npz"
    np.savez(file, x=np.zeros((4, 3), np.float32), y=np.array([0, 1, 0, 1]))
    assert scoring.evaluate(saved("softmax"), str(file), {}).n_examples == 4


@pytest.mark.parametrize(
    ("kind", "source", "options", "words"),
    [
        (
            "softmax",
            "synthetic:softmax",
            {"features": 4},
            "4 features, it must have the 3 of the model",
        ),
        (
            "logistic",
            "synthetic:softmax",
            {"features": 3},
            "5 classes, it must have those of the model: 2",
        ),
        (
            "softmax",
            "synthetic:linear",
            {"features": 3},
            "no classes, it must have those of the model: 5",
        ),
        (
            "linear",
            "synthetic:softmax",
            {"features": 3},
            "5 classes, it must have those of the model: none",
        ),
    ],
)
def test_data_that_do_not_fit_the_model_are_refused(
    kind: str, source: str, options: dict[str, int], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        scoring.evaluate(saved(kind), source, options)


def test_the_command_predicts_a_line_for_each_example(run: Run, tmp_path: Path) -> None:
    saved("softmax").save(tmp_path / "model")
    np.save(tmp_path / "new.npy", np.zeros((3, 3), np.float32))
    answer = run("predict", "--model", tmp_path / "model", "--data", tmp_path / "new.npy")
    head, *lines = answer.out.splitlines()
    assert (answer.code, head, len(lines)) == (0, "class,probability", 3)
    label, chance = lines[0].split(",")
    assert int(label) == np.argmax(synthetic.softmax(**OPTIONS).bias)
    assert 1 / 5 < float(chance) < 1


def test_the_command_predicts_values_of_a_regression(run: Run, tmp_path: Path) -> None:
    saved("linear").save(tmp_path / "model")
    np.save(tmp_path / "new.npy", np.zeros((1, 3), np.float32))
    answer = run("predict", "--model", tmp_path / "model", "--data", tmp_path / "new.npy")
    bias = synthetic.linear(**OPTIONS).bias[0]
    assert answer.out == f"value\n{bias:.9g}\n"


def test_the_command_writes_what_it_would_print(run: Run, tmp_path: Path) -> None:
    saved("softmax").save(tmp_path / "model")
    np.save(tmp_path / "new.npy", np.ones((2, 3), np.float32))
    words = ("predict", "--model", tmp_path / "model", "--data", tmp_path / "new.npy")
    assert run(*words, "--output", tmp_path / "answers.csv").out == ""
    assert (tmp_path / "answers.csv").read_text() == run(*words).out


def test_the_command_evaluates(run: Run, tmp_path: Path) -> None:
    model = saved("softmax")
    model.save(tmp_path / "model")
    options = [f"--data-option={name}={value}" for name, value in OPTIONS.items()]
    answer = run("evaluate", "--model", tmp_path / "model", "--data", "synthetic:softmax", *options)
    score = scoring.evaluate(model, "synthetic:softmax", OPTIONS)
    figures, table = answer.out.split("confusion")
    assert figures == (
        f"examples 200\naccuracy {score.accuracy:.6g}\n"
        f"loss {score.loss:.6g}\nlog loss {score.log_loss:.6g}\n"
        f"always the commonest class: accuracy {score.baseline:.4f}\n"
    )
    cells = [[int(cell) for cell in line.split()[1:]] for line in table.splitlines()[2:]]
    assert cells == [list(row[:-1]) for row in score.confusion]


def test_auc_and_confusion_are_those_of_scikit_learn_at_the_threshold_of_the_model() -> None:
    model, problem = saved("logistic"), synthetic.logistic(**OPTIONS)
    strict = replace(model, settings=ModelSettings(model="logistic", threshold=0.8))
    logits = problem.features @ problem.weights.ravel() + problem.bias
    found = scoring.evaluate(strict, "synthetic:logistic", OPTIONS)
    assert found.auc == pytest.approx(roc_auc_score(problem.targets, logits), abs=1e-4)
    answers, chances = predict(strict, "synthetic:logistic", OPTIONS)
    classes = np.array(answers)
    assert np.array_equal(classes, logits > np.log(0.8 / 0.2))
    assert np.array_equal(
        np.array(found.confusion)[:, :2], confusion_matrix(problem.targets, classes)
    )
    assert np.count_nonzero((chances < 0.8) & (chances > 0.5) & (classes == 0)) > 0
    assert (chances[classes == 1] > 0.8).all()


def test_very_many_examples_have_an_auc_by_histogram(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = scoring.evaluate(saved("logistic"), "synthetic:logistic", OPTIONS)
    monkeypatch.setattr(auc, "MOST_RANKED", 199)
    counted = scoring.evaluate(saved("logistic"), "synthetic:logistic", OPTIONS)
    assert (exact.auc_exact, counted.auc_exact) == (True, False)
    assert counted.auc == pytest.approx(exact.auc, abs=0.01)


def test_the_command_evaluates_for_machines(run: Run, tmp_path: Path) -> None:
    model = saved("logistic")
    model.save(tmp_path / "model")
    options = [f"--data-option={name}={value}" for name, value in OPTIONS.items()]
    words = ("--model", tmp_path / "model", "--data", "synthetic:logistic", *options)
    document = json.loads(run("evaluate", *words, "--json").out)
    score = scoring.evaluate(model, "synthetic:logistic", OPTIONS)
    assert document == {
        "examples": 200,
        "metric": "accuracy",
        "accuracy": score.accuracy,
        "loss": score.loss,
        "auc": score.auc,
        "log_loss": score.log_loss,
        "precision": score.precision,
        "recall": score.recall,
        "auc_exact": True,
        "threshold": 0.5,
        "positive": 1,
        "baseline": score.baseline,
        "classes": [0, 1],
        "confusion": [list(row) for row in score.confusion],
    }


# --- the user's own files and labels


def of_towns(**facts: Any) -> SavedModel:
    """A model that takes the larger of two numbers for the town: Bern or Ulm."""
    parameters = np.array([1, 0, 0, 1, 0, 0], np.float32)
    schema = Schema(2, 2, n_dense=2, labels=("Bern", "Ulm"))
    return SavedModel(ModelSettings(model="softmax"), schema, parameters, facts=facts)


READING = {"header": True, "delimiter": ";", "missing": 0.0, "target": "town", "ignore": '"id"'}
ROWS = "1;9;0;Ulm\n2;0;3;Ulm\n3;7;1;Bern\n"


def test_a_model_speaks_the_labels_of_its_training(run: Run, tmp_path: Path) -> None:
    of_towns(reading=READING).save(tmp_path / "model")
    (tmp_path / "new.csv").write_text("id;a;b;town\n" + ROWS)
    answer = run("predict", "--model", tmp_path / "model", "--data", tmp_path / "new.csv")
    assert [line.partition(",")[0] for line in answer.out.splitlines()] == [
        "class",
        "Bern",
        "Ulm",
        "Bern",
    ]


@pytest.mark.parametrize(
    ("labels", "written"),
    [
        (("00501", "10115"), ("00501", "10115")),
        (("01", "1"), ("01", "1")),
        (("10", "1_0"), ("10", "1_0")),
        ((False, True), ("false", "true")),
        ((-1, 1), ("-1.0", "+1")),
    ],
)
def test_labels_keep_their_names_through_file_predictions_and_scores(
    run: Run, tmp_path: Path, labels: tuple[Any, Any], written: tuple[str, str]
) -> None:
    model = of_towns(reading=READING)
    replace(model, schema=replace(model.schema, labels=labels)).save(tmp_path / "model")
    again = TrainedModel.load(tmp_path / "model")
    assert [type(name) for name in again.classes] == [type(name) for name in labels]
    assert again.predict(np.array([[9, 0], [0, 3]])).tolist() == list(labels)
    (tmp_path / "new.csv").write_text(f"id;a;b;town\n1;9;0;{written[0]}\n2;0;3;{written[1]}\n")
    words = ("--model", tmp_path / "model", "--data", tmp_path / "new.csv")
    _, *rows = run("predict", *words).out.splitlines()
    assert [row.partition(",")[0] for row in rows] == [str(name) for name in labels]
    found = json.loads(run("evaluate", *words, "--json").out)
    assert (found["accuracy"], found["auc"], found["positive"]) == (1.0, 1.0, labels[1])


def test_predictions_need_no_column_of_targets(run: Run, tmp_path: Path) -> None:
    of_towns(reading=READING).save(tmp_path / "model")
    (tmp_path / "new.csv").write_text("id;a;b\n1;9;0\n2;0;3\n")
    answer = run("predict", "--model", tmp_path / "model", "--data", tmp_path / "new.csv")
    assert [line.partition(",")[0] for line in answer.out.splitlines()] == ["class", "Bern", "Ulm"]


def test_options_of_the_user_go_before_those_of_the_training(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("id,a,b\n1,9,0\n2,0,3\n")
    source = str(tmp_path / "new.csv")
    assert predict(of_towns(reading=READING), source, {"delimiter": ","})[0] == ["Bern", "Ulm"]
    with pytest.raises(DataError, match="no column"):
        predict(of_towns(reading=READING), source, {})


def test_a_label_with_a_comma_is_quoted(run: Run, tmp_path: Path) -> None:
    model = of_towns()
    schema = replace(model.schema, labels=("Bern", "Ulm, Danube"))
    replace(model, schema=schema).save(tmp_path / "model")
    np.save(tmp_path / "x.npy", np.array([[0, 5.0]]))
    answer = run("predict", "--model", tmp_path / "model", "--data", tmp_path / "x.npy")
    assert answer.out.splitlines()[1].startswith('"Ulm, Danube",')


def test_labels_of_the_data_are_those_of_the_model(run: Run, tmp_path: Path) -> None:
    of_towns(reading=READING).save(tmp_path / "model")
    (tmp_path / "new.csv").write_text("id;a;b;town\n2;0;3;Ulm\n2;0;3;Ulm\n2;4;3;Ulm\n")
    answer = run("evaluate", "--model", tmp_path / "model", "--data", tmp_path / "new.csv")
    assert answer.out.splitlines()[:2] == ["examples 3", "accuracy 0.666667"]


def test_a_label_that_the_model_does_not_know_is_named(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("id;a;b;town\n2;0;3;Rome\n")
    words = "row 0 has the label 'Rome'; the labels of the model are Bern, Ulm"
    with pytest.raises(DataError, match=words):
        scoring.evaluate(of_towns(reading=READING), str(tmp_path / "new.csv"), {})


def test_files_that_do_not_fit_the_model_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((2, 3)))
    (tmp_path / "a.libsvm").write_text("1:2 2:1\n")
    with pytest.raises(DataError, match="has 3 features, it must have the 2 of the model"):
        predict(of_towns(), str(tmp_path / "x.npy"), {})
    with pytest.raises(DataError, match="has sparse features, those of the model are dense"):
        predict(of_towns(), str(tmp_path / "a.libsvm"), {"features": 2})


def test_answers_do_not_depend_on_how_many_are_computed_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = saved("softmax")
    whole = predict(model, "synthetic:softmax", OPTIONS)
    scored = scoring.evaluate(model, "synthetic:softmax", OPTIONS)
    monkeypatch.setattr(scoring, "CHUNK_EXAMPLES", 7)
    monkeypatch.setattr(predicting, "CHUNK_EXAMPLES", 7)
    parts = predict(model, "synthetic:softmax", OPTIONS)
    assert parts[0] == whole[0]
    np.testing.assert_allclose(parts[1], whole[1], rtol=1e-6)
    again = scoring.evaluate(model, "synthetic:softmax", OPTIONS)
    assert (again.n_examples, again.correct) == (scored.n_examples, scored.correct)


def test_held_out_data_of_their_own_are_the_part_that_is_held_out(tmp_path: Path) -> None:
    for name, rows in (("train.csv", ROWS), ("held.csv", "4;0;3;Ulm\n")):
        (tmp_path / name).write_text("id;a;b;town\n" + rows)
    train = str(tmp_path / "train.csv")
    config = RunConfig(data=train, holdout_data=str(tmp_path / "held.csv"), model="softmax")
    model = of_towns(reading=READING, config=config.model_dump(mode="json"))
    sources = {"all": train, "train": train, "heldout": str(tmp_path / "held.csv")}
    parts = [scoring.evaluate(model, sources[part], {}, part).n_examples for part in sources]
    assert dict(zip(sources, parts, strict=True)) == {"all": 3, "train": 3, "heldout": 1}


def test_what_only_a_model_file_names_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("id;a;b;town\n" + ROWS)
    train, secret = str(tmp_path / "train.csv"), "/etc/hostname"
    config = RunConfig(data=train, holdout_data=secret, model="softmax")
    model = of_towns(reading=READING, config=config.model_dump(mode="json"))
    with pytest.raises(DataError, match=r"train\.csv is not what was held out.*name them, too"):
        scoring.evaluate(model, train, {}, "heldout")
