"""Sandblaster with an L1 term on real servers: scikit-learn's optimum and its zeros."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from distbelief.app.errors import ExitCode
from distbelief.coordinator.cluster.local import LocalCluster
from tests.cluster.fleets import keys_of
from tests.dividing import split
from tests.unit.coordinator.sandblaster.sparse_problems import Sparse, logistic_of

Start = Callable[..., Any]
Train = Callable[..., Any]

GAP = 1e-6

#: The last weights share a block, and a shard, with the bias.
LOGISTIC = {
    "algorithm": "sandblaster",
    "model": "logistic",
    "standardize": False,
    "data": "synthetic:logistic",
    "data_options": {"examples": 1000, "features": 60},
    "shards": 3,
    "block_numbers": 7,
    "portions": 8,
    "iterations": 500,
    "gradient_tolerance": 1e-9,
    "decrease_tolerance": 0,
    "evaluate_every": 1000,
}


def losses(trained: Any) -> list[float]:
    return [told["loss"] for kind, told in trained.events if kind == "iteration"]


def problem_of(trained: Any) -> Sparse:
    """What was to be minimised, written down once more."""
    config, data = trained.problem.config, trained.problem.dataset
    rows, _ = split(data.n_examples, config.holdout, config.seed)
    x, y = data.features[rows[:]].astype(np.float64), data.targets[rows[:]]
    return logistic_of(x, y, l1=config.l1, l2=config.l2)


@pytest.mark.parametrize("l2", [0.0, 0.02], ids=["lasso", "elastic net"])
def test_a_training_reaches_the_objective_and_the_zeros_of_saga(
    l2: float, shared: LocalCluster, train_shared: Train
) -> None:
    trained = train_shared(**LOGISTIC, l1=0.02, l2=l2)
    problem, ours = problem_of(trained), trained.saved.parameters
    theirs = problem.of_scikit_learn("saga")
    assert losses(trained)[-1] == pytest.approx(problem.objective(ours), rel=1e-12)
    assert losses(trained)[-1] <= problem.objective(theirs) * (1 + GAP)
    assert np.flatnonzero(ours).tolist() == np.flatnonzero(theirs).tolist()
    nonzeros = np.count_nonzero(ours[:60])
    assert 0 < nonzeros < 60
    assert trained.outcome.details[1] == f"non-zero weights {nonzeros} of 60"
    assert keys_of(shared, trained.outcome.run) == {"meta", "params"}


def test_the_same_training_has_the_same_objectives_to_the_last_bit(train_shared: Train) -> None:
    # Portions arrive in another order each time.
    settings = {**LOGISTIC, "portions": 32, "iterations": 8}
    first, again = (train_shared(**settings, l1=0.01) for _ in range(2))
    assert losses(first) == losses(again)
    assert len(losses(first)) == 9


def test_people_see_how_many_weights_are_not_zero(command: Start, shared: LocalCluster) -> None:
    words = ("--algorithm=sandblaster", "--model=softmax", "--l1=0.01", "--iterations=12")
    training = command("train", *words, endpoints=shared.endpoints)
    assert training.ends() == ExitCode.OK, training.err
    assert "OWL-QN with history 10 in float64" in training.err
    *_, line = [line for line in training.err.splitlines() if line.startswith("iteration ")]
    assert re.search(r"  non-zero weights \d+ of 640  ", line), line
    summed = re.search(r"^non-zero weights (\d+) of 640$", training.out, re.M)
    assert summed
    assert 0 < int(summed[1]) < 640
