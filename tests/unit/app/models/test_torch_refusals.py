"""What is wrong with a torch module or its loss, in one sentence each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.errors import ModelError
from distbelief.app.models.registry import build_model
from distbelief.app.settings.sections import ModelSettings
from tests.unit.app.models.torchcases import (
    CASES,
    FIELDS,
    allow,
    built,
    cut,
    evaluate,
    examples,
    parameters_for,
)

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def _nets(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)  # the modules are tiny
    allow(monkeypatch)


def refused(factory: str, schema: Schema | None = None, **settings: Any) -> str:
    with pytest.raises(ModelError) as error:
        built(factory, schema or Schema(4, 3), **settings)
    return str(error.value)


def test_a_module_must_be_named() -> None:
    with pytest.raises(ModelError, match=r"needs a module: --module package\.module:function"):
        build_model(ModelSettings(model="torch"), Schema(4, 3))


@pytest.mark.parametrize("setting", ["module", "loss"])
def test_nothing_is_imported_unless_allowed(setting: str) -> None:
    settings = {"module": "torchnets:layers", setting: "os.path:join"}
    with pytest.raises(ModelError, match=r'importing "os\.path" is not allowed'):
        build_model(ModelSettings(model="torch", **settings), Schema(4, 3))


@pytest.mark.parametrize(("setting", "what"), [("module", "module"), ("loss", "loss")])
def test_a_malformed_import_path_is_refused(setting: str, what: str) -> None:
    settings = {"module": "torchnets:layers", setting: "torchnets:a.b"}
    with pytest.raises(ModelError, match=f'path of a {what} is "package.module:Name", got'):
        build_model(ModelSettings(model="torch", **settings), Schema(4, 3))


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("broken", 'module "torchnets:broken" cannot be made: RuntimeError: no such net'),
        ("no_module", "must return a torch.nn.Module, got {'weights': 4}"),
        ("of_nothing", 'module "torchnets:of_nothing" has no parameters'),
        ("misfit", 'module "torchnets:misfit" failed: RuntimeError'),
        ("cube", "(n,) or (n, n_outputs), got (2, 1, 3) for two examples"),
        ("two_outputs", "must give outputs of shape (n, 3) for the classes, got (n, 2)"),
        ("limited", "the embedding 0.one.weight has a max_norm"),
        ("Huge", "ids.weight has 16,777,217 rows, but dense features, kept in float32, hold"),
    ],
)
def test_an_unfit_module_is_refused_with_the_reason(factory: str, message: str) -> None:
    assert message in refused(factory)


def test_outputs_for_real_numbers_are_one_each() -> None:
    message = "must give outputs of shape (n,) for real numbers, got (n, 2)"
    assert message in refused("two_outputs", Schema(4, 0))


def test_unknown_options_are_the_factorys_to_refuse() -> None:
    assert "TypeError: layers() got an unexpected" in refused("layers", model_options={"depth": 3})


def test_an_unknown_loss_is_refused_with_the_known_ones() -> None:
    message = refused("layers", loss="hinge")
    assert message.startswith('unknown loss "hinge": use one of cross_entropy, log_loss, mse, or')


def test_a_loss_for_another_task_is_refused() -> None:
    message = refused("layers", loss="mse")
    assert message == 'the loss "mse" is for regression, but module and targets are multiclass'


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ("failing", 'loss "torchnets:failing" failed: ValueError: no loss today'),
        ("of_each", 'loss "torchnets:of_each" must give one number as a tensor'),
    ],
)
def test_a_loss_that_fails_is_named_with_its_exception(loss: str, message: str) -> None:
    schema = Schema(4, 3)
    model = built("layers", schema, loss=f"torchnets:{loss}")
    with pytest.raises(ModelError, match=message):
        evaluate(model, parameters_for(model), examples(schema))


def test_batch_norm_cannot_train_on_a_single_example() -> None:
    model, (features, targets) = built("normed"), examples(CASES["normed"])
    with pytest.raises(ModelError, match="failed: ValueError: Expected more than 1 value"):
        evaluate(model, parameters_for(model), (features[:1], targets[:1]))


def test_an_example_without_a_category_is_refused() -> None:
    model, (features, targets) = built("Fields"), examples(FIELDS)
    features.data[features.indices == features.indices.max()] = 0
    features.eliminate_zeros()
    with pytest.raises(ModelError, match="does not have one category in each of 3"):
        evaluate(model, parameters_for(model), (features, targets))


def test_ids_that_depend_on_parameters_are_noticed_where_rows_are_missing() -> None:
    model = built("Wayward", Schema(4, 3))
    batch = np.ones((5, 4), "f4"), np.zeros(5, np.int64)
    parameters = np.abs(parameters_for(model))
    narrowed = model.narrowed(batch[0])
    ours = cut(model.tensors, parameters, narrowed.rows)
    with pytest.raises(ModelError, match="ids must depend on the examples alone"):
        evaluate(narrowed.model, ours, batch)
    assert evaluate(model, parameters, batch)[0] > 0  # with all rows it can be trained


def test_a_module_that_failed_can_be_used_again() -> None:
    model, batch = built("normed"), examples(CASES["normed"])
    parameters = parameters_for(model)
    expected = evaluate(model, parameters, batch)
    with pytest.raises(ModelError):
        evaluate(model, parameters, (batch[0][:1], batch[1][:1]))
    again = evaluate(model, parameters, batch)
    assert again[0] == expected[0]
    assert again[1].tobytes() == expected[1].tobytes()
