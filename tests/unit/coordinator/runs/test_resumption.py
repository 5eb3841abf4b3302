"""A run that goes on says what of the user's code is not as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest

from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.layout.layout import Layout
from distbelief.app.models import imports
from distbelief.app.models.registry import build_model
from distbelief.app.runs.identity import Identity
from distbelief.app.runs.record import RunRecord
from distbelief.app.settings.config import RunConfig
from distbelief.coordinator.runs.resumption import changed_modules

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
