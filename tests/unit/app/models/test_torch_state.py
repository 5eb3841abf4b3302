"""A trained module is the user's own again, whatever its state is made of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.errors import ModelError
from distbelief.app.models.files import SavedModel
from distbelief.app.models.registry import build_model
from distbelief.app.optimizers.registry import NAMES
from distbelief.app.settings.sections import ModelSettings
from distbelief.coordinator.inference.trained_model import TrainedModel
from tests.rules import rule_of
from tests.unit.app.models.torchcases import allow

torch = pytest.importorskip("torch")

SCHEMA = Schema(6, 3)


@pytest.fixture(autouse=True)
def _nets(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)  # the modules are tiny
    allow(monkeypatch)


def trained(factory: str) -> TrainedModel:
    """A model of any numbers but those that the factory gives."""
    settings = ModelSettings(model="torch", module=f"torchnets:{factory}")
    model = build_model(settings, SCHEMA)
    size = sum(tensor.size for tensor in model.tensors)
    numbers = np.random.default_rng(3).uniform(0.5, 1.5, size).astype(np.float32)
    return TrainedModel(SavedModel(settings, SCHEMA, numbers))


def fresh(factory: str) -> Any:
    from tests.unit.app.models import torchnets

    return getattr(torchnets, factory)(SCHEMA.n_features, SCHEMA.n_classes).eval()


@pytest.mark.parametrize("factory", ["layers", "normed", "masked", "tied_twice"])
def test_load_state_dict_takes_all_and_gives_the_same_predictions(factory: str) -> None:
    model, module = trained(factory), fresh(factory)
    module.load_state_dict(model.state_dict(), strict=True)
    features = np.random.default_rng(4).normal(size=(5, SCHEMA.n_features))
    with torch.no_grad():
        outputs = module.double()(torch.tensor(features.astype(np.float32)).double())
    expected = outputs.softmax(dim=1).numpy()
    np.testing.assert_allclose(model.predict_proba(features), expected, rtol=1e-6)


@pytest.mark.parametrize("rule", NAMES)
def test_after_every_rule_it_takes_what_a_file_gives(rule: str, tmp_path: Path) -> None:
    saved, module = trained("tied_twice").saved, fresh("tied_twice")
    slots = rule_of(rule).initial_slots(saved.parameters.astype(np.float64), {})
    replace(saved, slots=slots).save(tmp_path / "net.safetensors")
    state = TrainedModel.load(tmp_path / "net.safetensors").state_dict()
    module.load_state_dict(state, strict=True)
    assert np.array_equal(module.last.bias.detach().numpy(), saved.parameters[-3:])


def test_a_tied_weight_comes_under_each_of_its_names_and_stays_tied() -> None:
    model, module = trained("tied_twice"), fresh("tied_twice")
    state = model.state_dict()
    assert torch.equal(state["again.weight"], state["inner.weight"])
    module.load_state_dict(state)
    assert module.again.weight is module.inner.weight


def test_buffers_with_infinities_and_of_integers_are_as_the_factory_makes_them() -> None:
    model, module = trained("masked"), fresh("masked")
    assert not {"mask", "steps"} & {tensor.name for tensor in model.saved.build().tensors}
    state = model.state_dict()
    assert torch.equal(state["mask"], module.mask)
    assert torch.equal(state["steps"], module.steps)
    assert "scratch" not in state


def test_the_model_is_not_touched_by_what_is_done_to_the_state() -> None:
    model = trained("layers")
    before = model.saved.parameters.copy()
    for value in model.state_dict().values():
        value.zero_()
    assert np.array_equal(model.saved.parameters, before)


def test_a_model_that_is_no_module_has_no_state_dict() -> None:
    model = TrainedModel(SavedModel(ModelSettings(model="linear"), Schema(1), np.zeros(2)))
    with pytest.raises(ModelError, match="the model is linear, which is no module of PyTorch"):
        model.state_dict()
