"""A trained model in a program: predictions for arrays, parameters by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

import distbelief
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.errors import DataError, ModelError
from distbelief.app.models.files import SavedModel
from distbelief.app.settings.sections import ModelSettings
from distbelief.coordinator.inference.trained_model import TrainedModel

X = np.array([[1.0, 0.0], [0.0, 1.0], [-2.0, 0.5]])
ODDS = np.log(3)


def model(kind: str, schema: Schema, parameters: list[float], **settings: Any) -> TrainedModel:
    chosen = ModelSettings(model=kind, **settings)
    return TrainedModel(SavedModel(chosen, schema, np.array(parameters)))


@pytest.fixture
def logistic() -> TrainedModel:
    return model("logistic", Schema(2, 2, labels=("no", "yes")), [ODDS, -ODDS, 0.0])


def test_two_classes_have_two_probabilities(logistic: TrainedModel) -> None:
    likely = logistic.predict_proba(X[:2])
    assert likely == pytest.approx(np.array([[0.25, 0.75], [0.75, 0.25]]))
    assert logistic.predict(X[:2]).tolist() == ["yes", "no"]


def test_two_classes_are_told_apart_at_the_threshold() -> None:
    strict = model("logistic", Schema(2, 2), [ODDS, -ODDS, 0.0], threshold=0.8)
    assert strict.predict(X[:1]).tolist() == [0]


def test_of_more_classes_the_likeliest_is_named() -> None:
    three = model("softmax", Schema(2, 3, labels=(4, 5, 9)), [2.0, 0, 0, 0, 3, 0, 0, 0, 1])
    assert three.classes == (4, 5, 9)
    assert three.predict(X).tolist() == [4, 5, 5]
    assert three.predict_proba(X).sum(axis=1) == pytest.approx(np.ones(3))
    assert three.predict_proba(X).shape == (3, 3)


def test_a_regression_has_values_and_no_probabilities() -> None:
    line = model("linear", Schema(2), [2.0, -1.0, 0.5])
    assert line.predict(X).tolist() == [2.5, -0.5, -4.0]
    with pytest.raises(ModelError, match="a regression has no probabilities"):
        line.predict_proba(X)


def test_an_answer_does_not_depend_on_the_examples_beside_it() -> None:
    rng = np.random.default_rng(2)
    numbers = rng.normal(size=41).astype(np.float32)
    line = TrainedModel(SavedModel(ModelSettings(model="linear"), Schema(40), numbers))
    features = rng.normal(size=(60, 40))
    alone = np.concatenate([line.predict(features[i : i + 1]) for i in range(60)])
    assert line.predict(features) == pytest.approx(alone, rel=1e-12)


def test_sparse_and_dense_features_are_the_same_to_it() -> None:
    dense = model("linear", Schema(2), [2.0, -1.0, 0.5])
    sparse = model("linear", Schema(2, sparse=True), [2.0, -1.0, 0.5])
    for each in (dense, sparse):
        assert each.predict(csr_array(X)).tolist() == each.predict(X).tolist() == [2.5, -0.5, -4.0]


def test_many_examples_are_predicted_piece_by_piece(logistic: TrainedModel) -> None:
    many = np.tile(X, (3000, 1))
    assert logistic.predict(many).tolist() == logistic.predict(X).tolist() * 3000


def test_other_features_than_the_models_are_named(logistic: TrainedModel) -> None:
    with pytest.raises(DataError, match="X has 3 features, it must have the 2 of the mod"):
        logistic.predict(np.ones((1, 3)))


def test_parameters_have_the_names_of_the_tensors(logistic: TrainedModel) -> None:
    assert list(logistic.parameters) == ["weights", "bias"]
    assert logistic.parameters["weights"].tolist() == [[ODDS], [-ODDS]]


def test_it_comes_back_from_a_file(logistic: TrainedModel, tmp_path: Path) -> None:
    logistic.save(tmp_path / "model.safetensors")
    again = TrainedModel.load(str(tmp_path / "model.safetensors"))
    assert again.predict(X).tolist() == logistic.predict(X).tolist()


def test_it_says_what_it_is(logistic: TrainedModel) -> None:
    assert repr(logistic) == "<logistic for binary: 2 features, 2 classes, 3 parameters>"


def test_a_model_that_was_saved_is_loaded_by_its_path(
    logistic: TrainedModel, tmp_path: Path
) -> None:
    for path in (tmp_path / "model.safetensors", str(tmp_path / "other.safetensors")):
        logistic.save(path)
        loaded = distbelief.load_model(path)
        assert isinstance(loaded, distbelief.TrainedModel)
        assert loaded.classes == ("no", "yes")
        assert loaded.predict_proba(X).tolist() == logistic.predict_proba(X).tolist()


def test_what_is_no_model_is_not_loaded(tmp_path: Path) -> None:
    with pytest.raises(distbelief.ModelError, match=r"there is no model file .*none\.safetensors"):
        distbelief.load_model(tmp_path / "none.safetensors")
    (tmp_path / "damaged.safetensors").write_bytes(b"no model")
    with pytest.raises(distbelief.ModelError, match=r"damaged\.safetensors"):
        distbelief.load_model(tmp_path / "damaged.safetensors")
