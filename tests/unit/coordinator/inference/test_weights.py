"""A model remembers where its weights were: evaluate uses those of its data, predict needs none."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from distbelief.app.datasets.cache.opening import default_cache_folder
from distbelief.app.datasets.run_data import open_data
from distbelief.app.errors import DataError, ExitCode
from distbelief.app.models.files import SavedModel, read_model
from distbelief.app.settings.config import RunConfig
from distbelief.app.settings.sections import ModelSettings
from distbelief.coordinator.inference import scoring
from distbelief.coordinator.inference.predicting import Predictor
from distbelief.coordinator.views.weights import weight_lines

Run = Callable[..., Any]

RNG = np.random.default_rng(0)
N = 40
A, B = RNG.normal(size=(2, N)).round(3)
Y = (A + RNG.normal(size=N) > 0).astype(int)
W = RNG.integers(0, 4, N) / 4
COLUMNS = {"a": A, "w": W, "b": B, "y": Y}


def write(path: Path, names: str, *, header: bool = True) -> str:
    head = [",".join(names)] if header else []
    rows = zip(*(COLUMNS[name].tolist() for name in names), strict=True)
    path.write_text("\n".join([*head, *(",".join(map(str, row)) for row in rows), ""]))
    return str(path)


def libsvm(path: Path, form: str) -> str:
    rows = zip(*(COLUMNS[name].tolist() for name in "ywab"), strict=True)
    path.write_text("".join(form.format(y=y, w=w, a=a, b=b) + "\n" for y, w, a, b in rows))
    return str(path)


def trained(tmp_path: Path, data: str, **options: Any) -> SavedModel:
    """A model that predicts by a alone, as a training on ``data`` saves it."""
    config = RunConfig(data=data, data_options=options, model="logistic", holdout=0.25)
    opened = open_data(config, default_cache_folder())
    facts = {"config": config.model_dump(mode="json"), **opened.to_remember()}
    parameters = np.array([1, 0, 0], np.float32)
    settings = ModelSettings(model="logistic")
    SavedModel(settings, opened.dataset.schema, parameters, facts=facts).save(tmp_path / "model")
    return read_model(tmp_path / "model")


@pytest.fixture
def model(tmp_path: Path) -> SavedModel:
    return trained(tmp_path, write(tmp_path / "train.csv", "awby"), weight="w")


@pytest.mark.parametrize("names", ["awby", "ywba"])
def test_evaluate_weighs_by_the_column_of_the_training(
    model: SavedModel, tmp_path: Path, names: str
) -> None:
    found = scoring.evaluate(model, write(tmp_path / "new.csv", names), {})
    assert found.weight == pytest.approx(W.sum())
    assert found.auc == pytest.approx(roc_auc_score(Y, A, sample_weight=W))
    assert found.accuracy == pytest.approx(accuracy_score(Y, A > 0, sample_weight=W))


def test_a_part_of_the_training_is_weighed_too(model: SavedModel, tmp_path: Path) -> None:
    parts = [
        scoring.evaluate(model, str(tmp_path / "train.csv"), {}, part)
        for part in ("train", "heldout")
    ]
    assert sum(part.n_examples for part in parts) == N
    assert sum(part.weight for part in parts) == pytest.approx(W.sum())


def test_evaluate_says_that_there_are_none(model: SavedModel, tmp_path: Path, run: Run) -> None:
    there, gone = write(tmp_path / "there.csv", "awby"), write(tmp_path / "gone.csv", "aby")
    words = ("evaluate", "--model", tmp_path / "model", "--data")
    answer = run(*words, there)
    assert f"weight {W.sum():.6g}\n" in answer.out
    assert not answer.err
    answer = run(*words, gone, "--json")
    assert answer.err == (
        f"the model was trained with weights (w), {gone} has none: all examples count the same\n"
    )
    document = json.loads(answer.out)
    assert document["auc"] == pytest.approx(roc_auc_score(Y, A))
    assert "weight" not in document
    assert json.loads(run(*words, there, "--json").out)["weight"] == pytest.approx(W.sum())


def test_another_column_of_weights_can_be_named_and_must_be_there(tmp_path: Path) -> None:
    plain = trained(tmp_path, write(tmp_path / "train.csv", "aby"))
    new = write(tmp_path / "new.csv", "awby")
    found = scoring.evaluate(plain, new, {"weight": "w"})
    assert found.auc == pytest.approx(roc_auc_score(Y, A, sample_weight=W))
    with pytest.raises(DataError, match="option weight: there is no column 'v'"):
        scoring.evaluate(plain, new, {"weight": "v"})
    with pytest.raises(DataError, match="does not know 'w' among the columns"):
        scoring.evaluate(plain, new, {})


def test_weights_that_the_user_names_are_there_whatever_the_model_knows(
    model: SavedModel, tmp_path: Path
) -> None:
    gone = write(tmp_path / "gone.csv", "aby")
    assert not scoring.evaluate(model, gone, {}).weight
    for _ in ("converted", "from the cache"):
        with pytest.raises(DataError, match=r"gone\.csv: option weight: there is no column 'w'"):
            scoring.evaluate(model, gone, {"weight": "w"})


def test_weights_that_are_ignored_do_not_count(model: SavedModel, tmp_path: Path) -> None:
    there, ignored = write(tmp_path / "there.csv", "awby"), {"ignore": "w"}
    assert scoring.evaluate(model, there, ignored).auc == pytest.approx(roc_auc_score(Y, A))
    assert answers(model, there, **ignored) == answers(model, there)


def test_a_training_that_goes_on_says_that_its_data_have_none(
    model: SavedModel, tmp_path: Path
) -> None:
    lines = []
    for names in ("awby", "aby"):
        config = RunConfig(data=write(tmp_path / "more.csv", names), model="logistic")
        data = open_data(config, default_cache_folder(), fits=model.compatibility())
        lines.append(weight_lines(data))
    assert lines[0] == ["weights: column 'w'"]
    assert lines[1] == [
        f"{config.data} has no weights, which the model was trained with (w): all examples count "
        "the same"
    ]


def answers(model: SavedModel, source: str, **options: Any) -> list[Any]:
    return [answer for each in Predictor(model, source, options) for answer in each.answers]


@pytest.mark.parametrize("names", ["awby", "aby", "ba", "wab"])
def test_predict_never_needs_the_weights(model: SavedModel, tmp_path: Path, names: str) -> None:
    assert answers(model, write(tmp_path / "new.csv", names)) == (A > 0).astype(int).tolist()


# --- columns without names


@pytest.fixture
def nameless(tmp_path: Path) -> SavedModel:
    data = write(tmp_path / "train.csv", "awby", header=False)
    return trained(tmp_path, data, weight=1, target=3)


def test_of_columns_without_names_those_of_the_weights_may_be_absent(
    nameless: SavedModel, tmp_path: Path
) -> None:
    for names, weights in (("awby", W), ("aby", None)):
        found = scoring.evaluate(nameless, write(tmp_path / "new.csv", names, header=False), {})
        assert found.auc == pytest.approx(roc_auc_score(Y, A, sample_weight=weights))
    for names in ("awby", "ab"):
        source = write(tmp_path / "new.csv", names, header=False)
        assert answers(nameless, source) == (A > 0).astype(int).tolist()


@pytest.mark.parametrize("names", ["aby", "awb"])
def test_where_it_cannot_be_told_which_are_absent_nothing_is_predicted(
    nameless: SavedModel, tmp_path: Path, names: str
) -> None:
    with pytest.raises(DataError, match="whether the weights or the targets are not there"):
        answers(nameless, write(tmp_path / "new.csv", names, header=False))


# --- LIBSVM


@pytest.fixture
def sparse(tmp_path: Path) -> SavedModel:
    return trained(tmp_path, libsvm(tmp_path / "a.libsvm", "{y}:{w} 1:{a} 2:{b}"), weight=True)


def test_evaluate_takes_labels_with_weights_or_without(sparse: SavedModel, tmp_path: Path) -> None:
    for form, weights in (("{y}:{w} 1:{a} 2:{b}", W), ("{y} 1:{a} 2:{b}", None)):
        found = scoring.evaluate(sparse, libsvm(tmp_path / "new.libsvm", form), {})
        assert found.auc == pytest.approx(roc_auc_score(Y, A, sample_weight=weights))


def test_predict_asks_whether_lines_begin_with_a_label(sparse: SavedModel, tmp_path: Path) -> None:
    expected = (A > 0).astype(int).tolist()
    assert answers(sparse, libsvm(tmp_path / "new.libsvm", "{y} 1:{a} 2:{b}")) == expected
    for form, word in (("{y}:{w} 1:{a} 2:{b}", True), ("1:{a} 2:{b}", False)):
        source = libsvm(tmp_path / "new.libsvm", form)
        assert answers(sparse, source, weight=word) == expected
        with pytest.raises(
            DataError, match=r"line 1: '.*' may be LABEL:WEIGHT \(the option weight=true\) or"
        ):
            answers(sparse, source)


# --- what is said of them


def test_data_says_where_weights_are_and_their_sum_and_range(tmp_path: Path, run: Run) -> None:
    numbers = f"sum {W.sum():.6g}, from 0 to 0.75"
    cases = {
        write(tmp_path / "a.csv", "awby"): ("weight=w", "column 'w'"),
        write(tmp_path / "b.csv", "awby", header=False): ("weight=1", "column 1"),
        libsvm(tmp_path / "c.libsvm", "{y}:{w} 1:{a}"): ("weight=true", "behind the labels"),
    }
    for source, (option, place) in cases.items():
        answer = run("data", source, "--data-option", option)
        assert answer.code == ExitCode.OK, answer.err
        assert f"\nweights: {place}, {numbers}\n" in answer.out
        document = json.loads(run("data", source, "--data-option", option, "--json").out)
        assert document["weights"] == {
            "place": place,
            "total": W.sum(),
            "least": 0,
            "greatest": 0.75,
        }
    assert re.search("weights", run("data", "digits").out) is None
