"""Names in the settings, import paths, and every way in which they are refused."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.errors import ModelError
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.models import imports
from distbelief.app.models.fm import FactorizationMachine
from distbelief.app.models.imports import ALLOWED_IMPORTS_VARIABLE, allowed_imports
from distbelief.app.models.linear import LinearRegression, LogisticRegression, SoftmaxRegression
from distbelief.app.models.mlp import MLP
from distbelief.app.models.model import Model, Task
from distbelief.app.models.registry import build_model
from distbelief.app.models.wide_deep import WideDeep
from distbelief.app.settings.sections import ModelSettings

#: Settings of the models, none of them a default.
OTHERS: dict[str, Any] = {
    "hidden": (8,),
    "activation": "tanh",
    "init": "he",
    "rank": 4,
    "embedding": 3,
    "spread": 0.1,
}


@pytest.fixture(autouse=True)
def _nothing_is_allowed_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """By trainings that other tests made in this process."""
    monkeypatch.setattr(imports, "_allowed_here", [])


def settings(model: str, **others: Any) -> ModelSettings:
    return ModelSettings(model=model, **OTHERS | others)


class TheirModel:
    """A model that inherits nothing of ours."""

    task = Task.MULTICLASS

    def __init__(self, n_features: int, n_classes: int, rank: int = 1) -> None:
        self.arguments = (n_features, n_classes, rank)
        self.tensors: Any = (TensorSpec("w", (n_features, n_classes)),)

    def initial(self, rng: Any) -> Any:
        return np.zeros(1)

    def loss_and_gradient(self, *arguments: Any) -> float:
        return 0.0

    def predict(self, parameters: Any, features: Any) -> Any:
        return features


def changed(**attributes: Any) -> Any:
    """A factory of a model whose attributes are changed; None removes a method."""

    def factory(**arguments: Any) -> TheirModel:
        model = TheirModel(**arguments)
        vars(model).update(attributes)
        return model

    return factory


@pytest.fixture
def their(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The importable and allowed module ``their.models``."""
    module = ModuleType("their.models")
    vars(module).update(Model=TheirModel, number=3)
    monkeypatch.setitem(sys.modules, "their.models", module)
    monkeypatch.setenv(ALLOWED_IMPORTS_VARIABLE, "their")
    return module


def refused(settings: ModelSettings, n_classes: int = 3) -> str:
    with pytest.raises(ModelError) as error:
        build_model(settings, Schema(5, n_classes))
    return str(error.value)


@pytest.mark.parametrize(
    ("name", "n_classes", "expected"),
    [
        ("linear", 0, LinearRegression(5)),
        ("linear", 3, LinearRegression(5)),
        ("logistic", 2, LogisticRegression(5)),
        ("softmax", 3, SoftmaxRegression(5, 3)),
        ("mlp", 3, MLP(5, 3, (8,), "tanh", "he")),
        ("fm", 0, FactorizationMachine(5, 0, 4, 0.1)),
        ("fm", 2, FactorizationMachine(5, 2, 4, 0.1)),
    ],
)
def test_a_built_in_model_is_built_by_name(name: str, n_classes: int, expected: Model) -> None:
    assert build_model(settings(name), Schema(5, n_classes)) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("logistic", LogisticRegression(14, sparse=True)),
        ("mlp", MLP(14, 2, (8,), "tanh", "he", sparse=True)),
        ("fm", FactorizationMachine(14, 2, 4, 0.1, sparse=True)),
        ("wide_deep", WideDeep(2, (0, 4, 8, 12), 2, (8,), "tanh", "he", 3, 0.1)),
    ],
)
def test_a_model_of_sparse_data_is_sparse(name: str, expected: Model) -> None:
    schema = Schema(14, 2, sparse=True, n_dense=2, n_fields=3)
    assert build_model(settings(name), schema) == expected


def test_wide_and_deep_refuses_data_without_categories() -> None:
    assert 'use "mlp" or "fm"' in refused(settings("wide_deep"))


@pytest.mark.parametrize("name", ["logistic", "fm"])
def test_a_model_of_two_classes_refuses_three(name: str) -> None:
    message = f'model "{name}" needs exactly 2 classes, but the data have 3'
    assert refused(settings(name)) == message


def test_a_torch_module_without_torch_is_refused_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "distbelief.app.models.torch", raising=False)
    message = refused(settings("torch", module="their.models:net"))
    assert message.startswith("model \"torch\" needs PyTorch: pip install '.[torch]' in the ")


def test_an_unknown_name_is_refused_with_all_known_ones() -> None:
    assert "linear, logistic, softmax, mlp, fm, wide_deep, torch" in refused(
        settings("transformer")
    )


def test_a_misspelt_name_is_refused_with_the_nearest() -> None:
    assert 'unknown model "sofmax": did you mean "softmax"?' in refused(settings("sofmax"))


def test_a_built_in_model_takes_no_model_options() -> None:
    message = refused(settings("mlp", model_options={"depth": 3}))
    assert 'the built-in model "mlp" was given depth' in message


@pytest.mark.parametrize("name", ["logistic", "softmax"])
def test_a_classifier_refuses_real_valued_targets(name: str) -> None:
    assert "needs class labels, but the targets are real" in refused(settings(name), n_classes=0)


@pytest.mark.parametrize("name", ["softmax", "mlp"])
def test_a_classifier_refuses_a_single_class(name: str) -> None:
    assert "needs at least 2 classes, but the data have 1" in refused(settings(name), n_classes=1)


def test_a_model_of_ones_own_gets_sizes_and_options(their: ModuleType) -> None:
    model = build_model(settings("their.models:Model", model_options={"rank": 4}), Schema(5, 3))
    assert isinstance(model, TheirModel)
    assert model.arguments == (5, 3, 4)


def test_an_imported_classifier_refuses_real_valued_targets(their: ModuleType) -> None:
    assert "needs class labels" in refused(settings("their.models:Model"), n_classes=0)


def test_allowed_imports_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALLOWED_IMPORTS_VARIABLE, "mine, theirs.models,")
    assert allowed_imports() == ("mine", "theirs.models")


def test_nothing_may_be_imported_unless_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ALLOWED_IMPORTS_VARIABLE, raising=False)
    assert allowed_imports() == ()
    assert refused(settings("os.path:join")) == (
        'importing "os.path" is not allowed: set the environment variable '
        "DISTBELIEF_ALLOWED_IMPORTS=os.path here and for the workers"
    )


def test_the_advice_keeps_what_is_already_allowed(their: ModuleType) -> None:
    assert "DISTBELIEF_ALLOWED_IMPORTS=their,os.path here" in refused(settings("os.path:join"))


@pytest.mark.parametrize("path", ["theirs:Model", "their_models:Model", "the:Model"])
def test_a_prefix_ends_where_a_package_ends(their: ModuleType, path: str) -> None:
    assert "is not allowed" in refused(settings(path))


def test_a_forbidden_module_is_not_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, their: ModuleType
) -> None:
    (tmp_path / "forbidden_model.py").write_text("raise SystemExit")
    monkeypatch.syspath_prepend(tmp_path)
    assert "is not allowed" in refused(settings("forbidden_model:Model"))


@pytest.mark.parametrize("path", ["their.models:", ":Model", "their.models:A.b", "a:b:c", "../x:M"])
def test_a_malformed_import_path_is_refused(their: ModuleType, path: str) -> None:
    assert f'is "package.module:Name", got "{path}"' in refused(settings(path))


def test_a_missing_module_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALLOWED_IMPORTS_VARIABLE, "no_such_package")
    message = refused(settings("no_such_package.models:Model"))
    assert message == (
        'module "no_such_package.models" cannot be imported: '
        "ModuleNotFoundError: No module named 'no_such_package'"
    )


def test_a_module_that_fails_on_import_is_named_with_its_exception(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_model.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv(ALLOWED_IMPORTS_VARIABLE, "broken_model")
    assert refused(settings("broken_model:Model")) == (
        'module "broken_model" cannot be imported: ZeroDivisionError: division by zero'
    )


def test_a_missing_attribute_is_named(their: ModuleType) -> None:
    assert refused(settings("their.models:Modell")) == 'module "their.models" has no "Modell"'


def test_an_attribute_that_cannot_be_called_is_refused(their: ModuleType) -> None:
    message = 'module "their.models" has "number", but cannot call it'
    assert refused(settings("their.models:number")) == message


def test_a_factory_that_raises_is_named_with_its_exception(their: ModuleType) -> None:
    message = refused(settings("their.models:Model", model_options={"rnk": 1}))
    assert 'model "their.models:Model" cannot be built: TypeError' in message
    assert "unexpected keyword argument 'rnk'" in message


def test_missing_attributes_of_the_protocol_are_listed(their: ModuleType) -> None:
    vars(their).update(Empty=lambda **_: object())
    assert refused(settings("their.models:Empty")) == (
        'model "their.models:Empty" lacks tensors, task, initial(), loss_and_gradient(), predict()'
    )


@pytest.mark.parametrize("method", ["initial", "loss_and_gradient", "predict"])
def test_a_method_that_cannot_be_called_counts_as_missing(their: ModuleType, method: str) -> None:
    vars(their).update(Model=changed(**{method: None}))
    assert f"lacks {method}()" in refused(settings("their.models:Model"))


def test_a_task_that_is_merely_a_string_is_refused(their: ModuleType) -> None:
    vars(their).update(Model=changed(task="binary"))
    assert "must be a Task, got 'binary'" in refused(settings("their.models:Model"))


@pytest.mark.parametrize("tensors", [[TensorSpec("w", (1,))], ("w",), None], ids=str)
def test_tensors_other_than_a_tuple_of_specs_are_refused(their: ModuleType, tensors: Any) -> None:
    vars(their).update(Model=changed(tensors=tensors))
    assert "must be a tuple of TensorSpec" in refused(settings("their.models:Model"))


@pytest.mark.parametrize("shape", [(0,), (-2, -3), (2.0,), [2], 2], ids=str)
def test_a_shape_other_than_positive_integers_is_refused(their: ModuleType, shape: Any) -> None:
    vars(their).update(Model=changed(tensors=(TensorSpec("w", shape),)))
    message = refused(settings("their.models:Model"))
    assert 'tensor "w"' in message
    assert "must have a shape of positive integers" in message


@pytest.mark.parametrize("tensors", [(), (TensorSpec("w", (1,)),) * 2], ids=["none", "repeated"])
def test_tensors_that_no_layout_takes_are_refused(their: ModuleType, tensors: Any) -> None:
    vars(their).update(Model=changed(tensors=tensors))
    assert "has unusable tensors" in refused(settings("their.models:Model"))
