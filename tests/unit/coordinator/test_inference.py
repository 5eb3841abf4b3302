"""A saved model is used without any server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.config import RunConfig
from app.datasets import synthetic
from app.datasets.schema import Schema
from app.datasets.split import split
from app.errors import DataError
from app.models.files import SavedModel
from app.settings import ModelSettings
from coordinator import inference

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


@pytest.mark.parametrize("kind", ["logistic", "softmax"])
def test_accuracy_is_the_share_of_the_examples_predicted_right(kind: str) -> None:
    model = saved(kind)
    score = inference.evaluate(model, f"synthetic:{kind}", OPTIONS)
    classes, _ = inference.predict(model, f"synthetic:{kind}", OPTIONS)
    labels = getattr(synthetic, kind)(**OPTIONS).targets
    assert score.n_examples == 200
    assert score.accuracy == np.mean(classes == labels) > 0.4


@pytest.mark.parametrize("kind", ["logistic", "softmax"])
def test_the_probability_is_that_of_the_predicted_class(kind: str) -> None:
    model, problem = saved(kind), getattr(synthetic, kind)(**OPTIONS)
    logits = problem.features @ problem.weights + problem.bias
    if kind == "logistic":
        logits = np.column_stack([np.zeros(len(logits)), logits])
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    classes, chances = inference.predict(model, f"synthetic:{kind}", OPTIONS)
    assert np.array_equal(classes, expected.argmax(axis=1))
    np.testing.assert_allclose(chances, expected.max(axis=1), rtol=1e-5)


def test_a_regression_predicts_values_without_probabilities() -> None:
    values, chances = inference.predict(saved("linear"), "synthetic:linear", OPTIONS)
    assert np.array_equal(values, synthetic.linear(**OPTIONS).targets)
    assert np.isnan(chances).all()


def test_parts_are_those_of_the_training() -> None:
    model = saved("softmax", seed=5, holdout=0.3)
    train, heldout = split(200, 0.3, 5)
    parts = {
        part: inference.evaluate(model, "synthetic:softmax", OPTIONS, part)
        for part in inference.PARTS
    }
    assert parts["train"].n_examples == len(train)
    assert parts["heldout"].n_examples == len(heldout)
    assert parts["train"].correct + parts["heldout"].correct == parts["all"].correct


def test_a_part_that_the_training_did_not_have_is_named() -> None:
    with pytest.raises(DataError, match="holdout 0: there is no part heldout"):
        inference.evaluate(saved("softmax", holdout=0.0), "synthetic:softmax", OPTIONS, "heldout")


def test_a_file_may_lack_some_classes(tmp_path: Path) -> None:
    file = tmp_path / "few.npz"
    np.savez(file, x=np.zeros((4, 3), np.float32), y=np.array([0, 1, 0, 1]))
    assert inference.evaluate(saved("softmax"), str(file), {}).n_examples == 4


@pytest.mark.parametrize(
    ("kind", "source", "options", "words"),
    [
        ("softmax", "synthetic:softmax", {"features": 4}, "4 features, the model was trained on 3"),
        ("logistic", "synthetic:softmax", {"features": 3}, "has 5 classes, the model knows 2"),
        ("softmax", "synthetic:linear", {"features": 3}, "has no classes, the model knows 5"),
        ("linear", "synthetic:softmax", {"features": 3}, "has 5 classes, the model knows none"),
    ],
)
def test_data_that_do_not_fit_the_model_are_refused(
    kind: str, source: str, options: dict[str, int], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        inference.evaluate(saved(kind), source, options)


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
    score = inference.evaluate(model, "synthetic:softmax", OPTIONS)
    assert answer.out == f"examples 200\naccuracy {score.accuracy:.6g}\nloss {score.loss:.6g}\n"
