"""A worker that scales its data once computes what one does that scales each minibatch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.models.model import Task
from distbelief.app.settings.config import RunConfig
from distbelief.coordinator.problem.problem import prepare
from distbelief.worker_tasks import prescaled as module
from distbelief.worker_tasks.prescaled import prescaled

FLOAT32 = np.dtype(np.float32)
CASES: list[dict[str, Any]] = [
    {"data": "digits"},
    {"data": "synthetic:linear", "model": "mlp"},
    {"data": "synthetic:linear", "model": "linear", "holdout_data": "synthetic:linear"},
]


def examples(dataset: Dataset) -> tuple[Any, Any]:
    return dataset.features[:32], dataset.targets[:32]


@pytest.mark.parametrize("settings", CASES)
def test_losses_gradients_and_predictions_are_the_same_bits(settings: dict[str, Any]) -> None:
    problem = prepare(RunConfig(**settings), 1)
    model, data = prescaled(problem.model, problem.data, FLOAT32)
    assert data.dataset.features is not problem.dataset.features
    parameters = problem.initial_values.parameters.astype(FLOAT32)
    for before, after in (
        (examples(problem.dataset), examples(data.dataset)),
        (problem.data.heldout.between(0, 32), data.heldout.between(0, 32)),
    ):
        found, expected = np.empty_like(parameters), np.empty_like(parameters)
        loss = problem.model.loss_and_gradient(parameters, before[0], before[1], expected)
        assert model.loss_and_gradient(parameters, after[0], after[1], found) == loss
        assert found.tobytes() == expected.tobytes()
        predicted = problem.model.predict(parameters, before[0])
        assert model.predict(parameters, after[0]).tobytes() == predicted.tobytes()
    assert model.task is problem.model.task


def test_what_is_large_or_in_another_precision_stays_where_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem = prepare(RunConfig(data="digits"), 1)
    assert problem.model.task is Task.MULTICLASS
    same = problem.model, problem.data
    assert prescaled(*same, np.dtype(np.float64)) == same
    monkeypatch.setattr(module, "COPIED_BYTES", 1000)
    assert prescaled(*same, FLOAT32) == same
