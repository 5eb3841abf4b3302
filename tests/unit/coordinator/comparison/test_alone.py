"""One process trains as the textbook says, and parameters are scored by the objective itself."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distbelief.app.datasets.split.partition import Subset
from distbelief.app.errors import Diverged
from distbelief.app.settings.config import RunConfig
from distbelief.coordinator.comparison.alone import Alone, costs
from distbelief.coordinator.comparison.recording import points
from distbelief.coordinator.comparison.snapshots import Snapshots, scored
from distbelief.coordinator.problem.problem import Problem, prepare
from distbelief.coordinator.progress.outcome import EndReason
from distbelief.worker_tasks.portion import compute


def problem(**settings: Any) -> Problem:
    known = {"data": "synthetic:softmax", "data_options": {"examples": 300}, "model": "softmax"}
    return prepare(RunConfig(**{**known, "l2": 0.01, **settings}), 1)


def test_one_process_takes_the_steps_of_sgd(tmp_path: Path) -> None:
    trained = problem(optimizer="sgd", learning_rate=0.3, passes=2, batch_size=16)
    process = Alone(trained, Snapshots(tmp_path), budget_s=1e6)
    assert process.run() is EndReason.PASSES

    weights = trained.initial_values.parameters.astype(np.float64)
    subset, gradient = Subset(trained.data.train, 0, 1, 0), np.empty_like(weights)
    penalty = trained.layout.penalty_mask() * 0.01
    n_steps = 2 * subset.steps_per_pass(16)
    for step in range(n_steps):
        rows = subset.minibatch(step, 16)
        dataset = trained.dataset
        trained.model.loss_and_gradient(
            weights, dataset.features[rows], dataset.targets[rows], gradient
        )
        weights -= 0.3 * (gradient + penalty * weights)

    last = len(process.records) - 1
    found, _ = Snapshots(tmp_path).read(last, 0)
    assert np.allclose(found, weights, rtol=1e-4, atol=1e-5)
    assert process.records[last].examples == 2 * trained.n_train


def test_points_cost_more_and_more_and_begin_with_nothing(tmp_path: Path) -> None:
    trained = problem(optimizer="adagrad", passes=8, evaluate_every=1.0)
    process = Alone(trained, Snapshots(tmp_path), budget_s=1e6)
    process.run()
    found = points(trained, Snapshots(tmp_path), process.records, costs)
    assert found[0].costs.seconds == found[0].costs.cpu_s == found[0].costs.examples == 0
    assert all(a.costs.examples < b.costs.examples for a, b in pairwise(found))
    assert found[-1].loss < found[0].loss
    assert found[-1].metric > found[0].metric


def test_what_is_not_finite_any_more_has_diverged(tmp_path: Path) -> None:
    trained = problem(model="linear", data="synthetic:linear", optimizer="sgd", learning_rate=1e6)
    process = Alone(trained, Snapshots(tmp_path), budget_s=1e6)
    with pytest.raises(Diverged):
        process.run()


@pytest.mark.parametrize(
    "settings",
    [{}, {"standardize": False}, {"model": "linear", "data": "synthetic:linear"}],
    ids=["standardised", "raw", "scaled targets"],
)
def test_the_loss_is_the_objective_that_sandblaster_minimises(settings: dict[str, Any]) -> None:
    minimised = problem(algorithm="sandblaster", **settings)
    vector = np.random.default_rng(3).normal(size=minimised.layout.size)
    share = compute(
        minimised.model,
        minimised.dataset,
        [minimised.data.train[np.arange(minimised.n_train)]],
        vector,
        n_examples=minimised.n_train,
        penalty=minimised.layout.penalty(0.01, np.dtype(np.float64)),
    )
    _, loss = scored(minimised, vector, ())
    assert loss == pytest.approx(share.loss * minimised.loss_unit, rel=1e-5)
