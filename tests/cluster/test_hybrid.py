"""A hybrid end to end: the minimum of Sandblaster, and a hand-over that a kill does not hurt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distbelief.app.errors import ExitCode
from distbelief.app.models.files import read_model
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.progress.outcome import EndReason
from tests.cluster.fleets import keys_of
from tests.cluster.test_sandblaster import losses, of_scikit_learn, training_data

Start = Callable[..., Any]
Train = Callable[..., Any]

L2 = 1e-1
HYBRID: dict[str, Any] = {
    "algorithm": "hybrid",
    "model": "softmax",
    "standardize": False,
    "l2": L2,
    "learning_rate": 0.2,
    "portions": 2,
}
#: One replica gives the same parameters each time, and so does L-BFGS from there.
ALONE: dict[str, Any] = {"replicas": 1, "overlap": False, "n_push": 1, "n_fetch": 1}


def test_a_hybrid_comes_to_the_optimum_of_scikit_learn_and_leaves_nothing_else(
    shared: LocalCluster, train_shared: Train
) -> None:
    trained = train_shared(**HYBRID, iterations=100, gradient_tolerance=1e-4, evaluate_every=4)
    told = dict(trained.events)
    assert told["handover"]["why"] == EndReason.PLATEAU
    passes = told["handover"]["passes"]
    *_, optimum = of_scikit_learn(*training_data(trained), L2)
    values = losses(trained)
    assert values[-1] == pytest.approx(optimum, rel=1e-6)
    assert values[0] > optimum
    heldout = trained.outcome.heldout
    assert heldout.passes == pytest.approx(passes + len(values) - 1)
    when = [each.passes for each in trained.outcome.evaluations]
    assert when == sorted(when)
    assert min(when) <= passes < max(when)
    assert trained.saved.slots == {}
    assert keys_of(shared, trained.outcome.run) == {"meta", "params"}


def test_a_hybrid_by_rounds_hands_over_after_whole_rounds_and_leaves_no_velocity(
    shared: LocalCluster, train_shared: Train
) -> None:
    rounds = {"n_push": "auto", "n_fetch": "auto", "round_steps": 8, "outer_momentum": 0.25}
    rounds |= {"passes": 3, "handover_decrease": 0.0}
    trained = train_shared(**HYBRID, **rounds, iterations=3, evaluate_every=9)
    told = dict(trained.events)
    assert told["handover"]["left"] == ["slot:nesterov"]
    pushes = sum(fields["pushes"] for kind, fields in trained.events if kind == "unit")
    assert (told["handover"]["passes"], told["handover"]["steps"], pushes) == (3.0, 138, 18)
    assert keys_of(shared, trained.outcome.run) == {"meta", "params"}


def test_a_target_that_downpour_reaches_ends_the_run_there(train_shared: Train) -> None:
    trained = train_shared(**HYBRID, target=0.5, evaluate_every=1.0)
    assert trained.outcome.reason is EndReason.TARGET
    assert "handover" not in dict(trained.events)
    assert trained.saved.slots


def test_a_hybrid_that_is_killed_after_the_hand_over_ends_as_one_that_was_not(
    shared: LocalCluster, train_shared: Train, command: Start, tmp_path: Path
) -> None:
    settings = {**HYBRID, **ALONE, "l2": 1e-3, "iterations": 20, "evaluate_every": 20}
    undisturbed = train_shared(**settings)
    words = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
    words = [word for word in words if not word.endswith("=False")]
    training = command(
        "train", *words, "--no-standardize", "--no-overlap", endpoints=shared.endpoints
    )
    training.says("iteration ")
    training.process.kill()
    training.ends()
    folder = tmp_path / "runs"
    status = command("status", training.run, "--folder", folder)
    assert status.ends() == ExitCode.OK, status.err
    assert "hybrid of softmax on digits" in status.out
    again = command("resume", training.run, "--folder", folder)
    assert again.ends() == ExitCode.OK, again.err
    assert "handed over to L-BFGS after" in again.out
    model = read_model(folder / training.run / "model.safetensors")
    assert np.array_equal(model.parameters, undisturbed.saved.parameters), again.err
