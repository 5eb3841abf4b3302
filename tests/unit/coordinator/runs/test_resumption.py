"""A run that goes on: what of the user's code is not as it was, and what is left to go on with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.errors import ModelError
from distbelief.app.layout.layout import Layout
from distbelief.app.models import imports
from distbelief.app.models.files import SavedModel
from distbelief.app.models.registry import build_model
from distbelief.app.runs.identity import Identity
from distbelief.app.runs.record import RunRecord
from distbelief.app.settings.config import ClusterConfig, RunConfig
from distbelief.coordinator.problem.problem import prepare
from distbelief.coordinator.runs.folder import RunFolder
from distbelief.coordinator.runs.resumption import (
    Found,
    changed_modules,
    is_anything_left,
    prepare_again,
)

NAME = "distbelief.app.models.linear"


def test_a_module_that_changed_since_the_run_began_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(imports, "_allowed_here", [NAME])
    config, schema = RunConfig(model=f"{NAME}:SoftmaxRegression"), Schema(2, 3)
    layout = Layout.plan(build_model(config, schema).tensors, n_servers=1)
    identity = Identity.here(config)
    record = RunRecord("run", config, layout, (), "", schema, identity=identity)
    assert changed_modules(record) == []
    older = replace(identity, modules={**identity.modules, NAME: "0" * 12})
    assert changed_modules(replace(record, identity=older)) == [NAME]
    assert changed_modules(replace(record, identity=None)) == []


def test_a_run_of_which_nothing_is_left_is_prepared_as_it_was_begun(tmp_path: Path) -> None:
    """From the model that it began with; one with a checkpoint does not need that any more."""
    file = tmp_path / "before.safetensors"
    plain = prepare(RunConfig(model="softmax"), 2)
    first = np.arange(plain.n_parameters, dtype=np.float32)
    settings = plain.config.model_settings()
    model = SavedModel(settings, plain.dataset.schema, first, scaling=plain.scaling)
    model.save(file)
    begun = prepare(RunConfig(model="softmax", init_from=str(file)), 2)
    record = RunRecord(
        "dead",
        begun.config,
        begun.layout,
        ("unix:///gone/parameters0.sock",),
        begun.data.fingerprint,
        begun.dataset.schema,
        scaling=begun.scaling,
    )
    folder = RunFolder(tmp_path / "dead")
    found = Found(record, ClusterConfig(), folder, embedded=True, broker="unix:///gone/c.sock")
    assert not is_anything_left(found)
    again = prepare_again(found, take_over=False)
    assert np.array_equal(again.initial_values.parameters, begun.initial_values.parameters)
    assert not np.array_equal(again.initial_values.parameters, plain.initial_values.parameters)
    assert again.layout == begun.layout

    file.unlink()
    with pytest.raises(ModelError, match="before"):
        prepare_again(found, take_over=False)
    (folder.checkpoints / "000001-000001").mkdir(parents=True)
    assert is_anything_left(found)
    assert prepare_again(found, take_over=False).scaling == begun.scaling
