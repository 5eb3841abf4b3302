"""The model's task decides what targets are; the option comes next, and the guess last."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distbelief.app.errors import ConfigError, DataError
from distbelief.app.models import imports
from distbelief.app.models.mlp import MLP
from distbelief.app.models.model import Task
from distbelief.app.settings.config import RunConfig
from distbelief.coordinator.problem.handed_over import handed_over
from distbelief.coordinator.problem.problem import Problem, prepare
from distbelief.coordinator.problem.targets import told
from distbelief.coordinator.training.announcement import targets_line

#: A model says its task as a class or only once it is made: people write both.
OWN = """
from distbelief import Task
from distbelief.app.models.linear import LinearRegression

class Declared(LinearRegression):
    task = Task.REGRESSION

    def __init__(self, n_features, n_classes):
        super().__init__(n_features)

class Lines(LinearRegression):
    def __init__(self, n_features, n_classes):
        super().__init__(n_features)

def made(n_features, n_classes):
    return LinearRegression(n_features)
"""

#: Whole numbers that are no labels.
PRICES = [1280.0, 860.0, 855.0, 860.0, 1280.0, 1000.0] * 5


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTBELIEF_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "ownlines.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(imports, "_allowed_here", ["ownlines"])
    yield "ownlines"
    sys.modules.pop("ownlines", None)


def written(tmp_path: Path, targets: list[Any], name: str = "a.csv") -> str:
    rows = (f"{i},{i % 3},{target}\n" for i, target in enumerate(targets))
    (tmp_path / name).write_text("a,b,y\n" + "".join(rows))
    return str(tmp_path / name)


def problem(data: str, **settings: Any) -> Problem:
    return prepare(RunConfig(data=data, **settings), 1)


def targets(found: Problem) -> list[float]:
    dataset = found.dataset
    assert dataset.n_classes == 0
    return [float(each) for each in dataset.targets[:]]


@pytest.mark.parametrize("form", ["{:.0f}", "{:.1f}", "{:.3e}"])
def test_a_regression_trains_on_the_numbers_however_they_are_written(
    tmp_path: Path, form: str
) -> None:
    source = written(tmp_path, [form.format(price) for price in PRICES])
    assert targets(problem(source, model="linear")) == PRICES


@pytest.mark.parametrize("name", ["Declared", "Lines", "made"])
def test_so_does_a_model_of_ones_own(tmp_path: Path, own: str, name: str) -> None:
    made = problem(written(tmp_path, [int(price) for price in PRICES]), model=f"{own}:{name}")
    assert targets(made) == PRICES
    assert made.config.data_options == {"task": "regression"}  # which workers read
    assert targets(prepare(made.config, 1)) == PRICES  # and who resumes


@pytest.mark.parametrize("dtype", [np.int64, np.float64, np.float32, object])
@pytest.mark.parametrize("model", ["linear", "ownlines:Declared", "ownlines:made"])
def test_so_it_is_from_python(own: str, model: str, dtype: type) -> None:
    pair: Any = (np.ones((len(PRICES), 2)), np.array(PRICES, dtype))
    run = RunConfig(model=model, data="arrays:")
    with handed_over(run, {"data": pair, "holdout_data": pair}) as run:
        made = prepare(run, 1)
        assert targets(made) == PRICES
        assert made.data.heldout.dataset.targets[:].tolist() == PRICES


def test_options_of_a_configuration_are_heeded_for_arrays() -> None:
    pair: Any = (np.ones((30, 2)), np.arange(30) % 2)
    run = RunConfig(data_options={"positive": 0}, data="arrays:")
    with handed_over(run, {"data": pair, "holdout_data": None}) as run:
        assert prepare(run, 1).dataset.schema.names == (1, 0)


def test_the_default_is_a_network_for_the_task(tmp_path: Path) -> None:
    made = problem(written(tmp_path, ["a", "b"] * 9))
    assert (made.config.model, made.model.task.targets) == ("mlp", "classification")


@pytest.mark.skipif(not hasattr(MLP, "head"), reason="the MLP knows classes only")
def test_the_default_is_a_network_for_numbers_too(tmp_path: Path) -> None:
    made = problem(written(tmp_path, [price / 3 for price in PRICES]))
    assert made.model.task is Task.REGRESSION
    assert made.config.model == "mlp"
    assert made.score_formatter.metric == "rmse"


@pytest.mark.parametrize("model", ["softmax", "logistic", "mlp"])
def test_two_classes_are_judged_as_two_by_every_model(tmp_path: Path, model: str) -> None:
    source = written(tmp_path, ["no", "yes"] * 9)
    made = problem(source, model=model, metric="auc", data_options={"positive": "no"})
    assert made.score_formatter.task is Task.BINARY
    assert made.score_formatter.names == ("yes", "no")


@pytest.mark.parametrize(
    ("values", "kind"), [([0.0, 1.0], int), ([-1.0, 1.0], int), ([0.0, 1.0, 2.0], int)]
)
@pytest.mark.parametrize("form", ["csv", "libsvm", "npy", "npz", "parquet"])
def test_float_labels_are_classes_for_a_classifier(
    tmp_path: Path, form: str, values: list[float], kind: type
) -> None:
    labels = np.array(values * 30)
    x = np.arange(len(labels), dtype=float).reshape(-1, 1)
    source = str(tmp_path / f"a-x.{form}" if form == "npy" else tmp_path / f"a.{form}")
    if form == "csv":
        written(tmp_path, labels.tolist())
    elif form == "libsvm":
        (tmp_path / "a.libsvm").write_text("".join(f"{label} 1:2\n" for label in labels))
    elif form == "npy":
        np.save(source, x)
        np.save(tmp_path / "a-y.npy", labels)
    elif form == "npz":
        np.savez(source, x=x, y=labels)
    else:
        arrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        parquet.write_table(arrow.table({"a": x[:, 0], "y": labels}), source)
    for settings in ({"model": "softmax"}, {"model": "mlp"}):
        schema = problem(source, **settings).dataset.schema
        assert schema.names == tuple(int(value) for value in values)
        assert all(type(name) is kind for name in schema.names)


def test_classes_for_a_regression_are_an_error(tmp_path: Path) -> None:
    source = written(tmp_path, ["dear", "cheap"] * 9)
    sentence = "line 2: the target 'dear' is not a number, and a regression needs numbers; models"
    with pytest.raises(DataError, match=sentence):
        problem(source, model="linear")
    pair = np.ones((2, 2)), np.array(["dear", "cheap"])
    with (
        pytest.raises(DataError, match="targets must be numbers, row 0 holds 'dear', and a regre"),
        handed_over(RunConfig(model="linear", data="arrays:"), {"data": pair}),
    ):
        pass


def test_numbers_for_a_classifier_are_an_error(tmp_path: Path) -> None:
    source = written(tmp_path, [price / 7 + i for i, price in enumerate(PRICES)])
    with pytest.raises(
        DataError,
        match="targets, column 'y', are numbers with fractions, 29 dif",
    ):
        problem(source, model="softmax")


@pytest.mark.parametrize("wrong", ["NA", "", "oops"])
@pytest.mark.parametrize("model", ["linear", "fm"])
@pytest.mark.parametrize("position", [0, 3, 899])
def test_one_wrong_target_makes_no_classes(
    tmp_path: Path, wrong: str, model: str, position: int
) -> None:
    values: list[Any] = [i / 7 for i in range(900)]
    values[position] = wrong
    source = written(tmp_path, values)
    with pytest.raises(DataError, match=rf"a.csv: line {position + 2}: the target"):
        problem(source, model=model)
    made = problem(source, model=model, data_options={"bad_lines": 1})
    assert len(targets(made)) == 899
    assert [fault.line for fault in made.dataset.facts.skipped] == [position + 2]


def test_the_options_may_not_contradict_the_model(tmp_path: Path) -> None:
    source = written(tmp_path, [0, 1] * 9)
    sentence = (
        'model "linear" is a regression, but the data option task=classification says that the '
        "targets are for a classification: leave one of them out"
    )
    with pytest.raises(ConfigError, match=sentence):
        problem(source, model="linear", data_options={"task": "classification"})
    with pytest.raises(ConfigError, match='"softmax" is for classes, but the data option task=reg'):
        problem(source, model="softmax", data_options={"task": "regression"})


def test_made_data_are_what_they_are() -> None:
    sentence = 'model "linear" is a regression, but the targets of digits are 10 classes'
    with pytest.raises(ConfigError, match=sentence):
        problem("digits", model="linear")
    assert problem("synthetic:linear", model="linear").config.data_options == {}


def test_the_loss_of_a_module_says_its_task() -> None:
    for loss, task in (("mse", "regression"), ("cross_entropy", "classification")):
        config = told(RunConfig(model="torch", module="a:b", loss=loss, data="a.csv"))
        assert config.data_options == {"task": task}
    assert told(RunConfig(model="torch", module="a:b", data="a.csv")).data_options == {}


def test_a_training_says_what_its_targets_are_and_why(tmp_path: Path) -> None:
    source = written(tmp_path, [0, 1] * 9)
    assert targets_line(problem(source)) == [
        "target: column 'y', by its name (the option target=NAME chooses another); "
        "header: found (the option header=false says otherwise); task: classification, because the "
        "targets are 2 different whole numbers in 18 examples (the option task=regression says "
        "otherwise); positive class: 1 (the option positive=0 is the other)"
    ]
    (line,) = targets_line(problem(source, model="linear", data_options={"target": "y"}))
    assert line.startswith("target: column 'y', as the option target says; header")
    assert line.endswith('; task: regression, which model "linear" is for')
    assert targets_line(problem("digits")) == []


def test_what_is_only_the_last_column_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1,2,0\n3,4,1\n5,6,1\n")
    (line,) = targets_line(problem(str(tmp_path / "a.csv"), holdout=0.0))
    assert line.startswith(
        "target: column 2, the last one, as no header names one (the option target=NAME chooses "
        "another); header: none (the option header=true says otherwise)"
    )
