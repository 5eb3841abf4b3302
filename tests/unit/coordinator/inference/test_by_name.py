"""A model takes columns by the names of its training, and a row of a file is a row of answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distbelief.app.datasets.cache.opening import default_cache_folder
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.datasets.run_data import open_data
from distbelief.app.errors import DataError, ExitCode
from distbelief.app.models.files import SavedModel, read_model
from distbelief.app.settings.config import RunConfig
from distbelief.app.settings.sections import ModelSettings
from distbelief.coordinator.inference import scoring
from distbelief.coordinator.inference.trained_model import TrainedModel

Run = Callable[..., Any]

ROWS = [("r1", 9, 0, "Ulm"), ("r2", 0, 3, "Ulm"), ("r3", 7, 1, "Bern"), ("r4", 5, 1, "Bern")]
NAMES = ("id", "a", "b", "town")


def write(path: Path, names: tuple[str, ...] = NAMES) -> str:
    lines = [",".join(str(dict(zip(NAMES, row, strict=True))[n]) for n in names) for row in ROWS]
    path.write_text("\n".join([",".join(names), *lines]) + "\n")
    return str(path)


def trained(tmp_path: Path, **more: Any) -> SavedModel:
    """A model that takes the larger of a and b for the town, as a training on files saves it."""
    options = {"target": "town", "ignore": "id"}
    config = RunConfig(
        data=write(tmp_path / "train.csv"), data_options=options, model="softmax", **more
    )
    data = open_data(config, default_cache_folder())
    facts = {"config": config.model_dump(mode="json"), **data.to_remember()}
    parameters = np.array([1, 0, 0, 1, 0, 0], np.float32)
    saved = SavedModel(ModelSettings(model="softmax"), data.dataset.schema, parameters, facts=facts)
    saved.save(tmp_path / "model")
    return read_model(tmp_path / "model")


@pytest.mark.parametrize("names", [NAMES[::-1], ("town", "b", "a"), ("b", "id", "town", "a")])
def test_a_score_does_not_depend_on_the_order_of_columns(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    found = scoring.evaluate(trained(tmp_path), write(tmp_path / "new.csv", names), {})
    assert (found.n_examples, found.correct) == (4, 3)


def test_a_model_says_what_it_was_trained_on(tmp_path: Path) -> None:
    model = trained(tmp_path)
    assert (model.facts["features"], model.facts["all_columns"]) == (["a", "b"], list(NAMES))
    assert model.facts["reading"]["target"] == "town"


def test_a_model_of_an_older_program_takes_columns_by_their_place(tmp_path: Path) -> None:
    model = trained(tmp_path)
    for name in ("features", "all_columns", "fingerprint", "heldout_fingerprint"):
        model.facts.pop(name)  # type: ignore[attr-defined]
    found = scoring.evaluate(model, write(tmp_path / "new.csv", ("id", "b", "a", "town")), {})
    assert found.correct == 1


@pytest.mark.parametrize("part", ["train", "heldout"])
def test_another_file_than_that_of_the_training_has_no_parts(tmp_path: Path, part: str) -> None:
    model = trained(tmp_path, holdout=0.25)
    sizes = {"train": 3, "heldout": 1}
    again = write(tmp_path / "moved.csv")  # the same content
    assert scoring.evaluate(model, again, {}, part).n_examples == sizes[part]
    other = write(tmp_path / "other.csv", NAMES[::-1])
    with pytest.raises(DataError, match=f"is not the file of the training.*it has no part {part}"):
        scoring.evaluate(model, other, {}, part)


def test_held_out_data_of_their_own_may_be_named_and_must_be_those(tmp_path: Path) -> None:
    held = write(tmp_path / "held.csv", NAMES[::-1])
    model = trained(tmp_path, holdout_data=held)
    train, moved = str(tmp_path / "train.csv"), write(tmp_path / "moved.csv", NAMES[::-1])
    with pytest.raises(DataError, match="are opened only if you name them"):
        scoring.evaluate(model, train, {}, "heldout")
    for source in (held, moved):
        assert scoring.evaluate(model, source, {}, "heldout").n_examples == 4
    for source, part in ((held, "train"), (write(tmp_path / "x.csv", NAMES[1:]), "heldout")):
        with pytest.raises(DataError, match="is not the file of the training"):
            scoring.evaluate(model, source, {}, part)
    Path(held).write_text(Path(held).read_text() + "Ulm,0,0,r5\n")
    with pytest.raises(DataError, match=r"is not the file of the training, .*held\.csv"):
        scoring.evaluate(model, held, {}, "heldout")


BAD = "b,id,a\n0,r1,9\nx,r2,0\n\n1,r3\n3,r4,0\n"


@pytest.fixture
def words(tmp_path: Path) -> tuple[Any, ...]:
    trained(tmp_path)
    (tmp_path / "new.csv").write_text(BAD)
    model, data = tmp_path / "model", tmp_path / "new.csv"
    return ("predict", "--model", model, "--data", data, "--data-option=bad_lines=2")


def test_a_row_of_the_input_is_a_row_of_the_output(run: Run, words: Any) -> None:
    answer = run(*words, "--with=id", "--with", "a")
    assert answer.code == ExitCode.OK, answer.err
    head, *lines = answer.out.splitlines()
    assert head == "id,a,class,probability"
    assert [line.rsplit(",", 1)[0] for line in lines] == ["r1,9,Bern", "r2,0,", ",,", "r4,0,Ulm"]
    assert lines[1:3] == ["r2,0,,", ",,,"]
    assert answer.err.startswith("2 rows have no prediction:\n  ")
    assert "new.csv: line 3: column 'b': 'x' is not a number\n" in answer.err
    documents = [json.loads(line) for line in run(*words, "--with=id", "--json").out.splitlines()]
    assert documents[1] == {"id": "r2", "class": None, "probability": None}


def test_a_column_may_have_the_name_of_a_prediction(run: Run, words: Any, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("a,b,class\n9,0,I\n")
    head, row = run(*words, "--with=class").out.splitlines()
    assert (head, row[:7]) == ("class,predicted_class,predicted_probability", "I,Bern,")


def test_a_bad_row_is_an_error_unless_such_are_tolerated(run: Run, words: Any) -> None:
    answer = run(*words[:-1])
    assert answer.code == ExitCode.DATA
    assert "line 3: column 'b': 'x' is not a number (--data-option bad_lines=N skips" in answer.err


def test_a_regression_has_gaps_too(run: Run, tmp_path: Path) -> None:
    SavedModel(ModelSettings(model="linear"), Schema(1), np.array([2, 1.0])).save(tmp_path / "m")
    np.save(tmp_path / "x.npy", np.array([[1.0], [np.nan]]))
    words = ("predict", "--model", tmp_path / "m", "--data", tmp_path / "x.npy")
    assert run(*words, "--data-option=bad_lines=1").out == 'value\n3\n""\n'


def test_probabilities_of_all_classes_or_of_one_are_written(run: Run, words: Any) -> None:
    head, first, *_ = run(*words, "--proba").out.splitlines()
    assert head == "class,probability_Bern,probability_Ulm"
    _, bern, ulm = first.split(",")
    assert float(bern) == pytest.approx(1 / (1 + np.exp(-9)), rel=1e-5)
    assert float(bern) + float(ulm) == pytest.approx(1, rel=1e-5)
    head, first, *_ = run(*words, "--proba=Ulm", "--with=id").out.splitlines()
    assert (head, first) == ("id,class,probability_Ulm", f"r1,Bern,{ulm}")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--proba=Rome"], "there is no class 'Rome', they are Bern, Ulm"),
        (["--with=id", "--with=id"], "--with id is there twice"),
        (["--with=when"], "there is no column 'when'"),
    ],
)
def test_what_cannot_be_written_is_refused(
    run: Run, words: Any, flags: list[str], said: str
) -> None:
    answer = run(*words, *flags)
    assert answer.code in (ExitCode.USAGE, ExitCode.DATA)
    assert said in answer.err


def test_a_regression_has_no_probabilities(run: Run, tmp_path: Path) -> None:
    SavedModel(ModelSettings(model="linear"), Schema(1), np.array([2, 1.0])).save(tmp_path / "m")
    np.save(tmp_path / "x.npy", np.array([[1.0]]))
    answer = run("predict", "--model", tmp_path / "m", "--data", tmp_path / "x.npy", "--proba")
    assert (answer.code, "it has no probabilities" in answer.err) == (ExitCode.USAGE, True)


def test_a_program_predicts_for_named_columns(tmp_path: Path) -> None:
    model = TrainedModel(trained(tmp_path))

    class Table(dict[str, Any]):
        @property
        def columns(self) -> list[str]:
            return list(self)

    table = Table(b=np.array([0, 3]), town=np.array(["?", "?"]), a=np.array([9, 0]))
    assert model.predict(table).tolist() == ["Bern", "Ulm"]
    with pytest.raises(DataError, match="the model has the feature 'b', there is no column"):
        model.predict(Table(a=np.array([1])))
