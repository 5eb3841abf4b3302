"""A cluster computes what one process computes, and counts every push."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distbelief.app.datasets.split.partition import Subset
from distbelief.app.files import checkpoint
from distbelief.app.models.metrics import Score, score
from distbelief.app.models.parameters import whole
from distbelief.app.optimizers.registry import shard_rule
from distbelief.app.settings.config import RunConfig
from distbelief.app.store.contract.parameters import Token
from distbelief.app.store.memory.parameters import MemoryParameterStore
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.downpour.units import UnitPlan
from distbelief.coordinator.problem.problem import Problem, prepare
from distbelief.worker_tasks.copies import Examples
from distbelief.worker_tasks.replica import Replica
from tests.cluster.fleets import keys_of
from tests.dividing import split

Train = Callable[..., Any]

ALONE = {"replicas": 1, "n_fetch": 1, "n_push": 1, "overlap": False}
ONLY_LAST = {"evaluate_every": 1000.0}


def in_memory(**settings: Any) -> tuple[Problem, MemoryParameterStore]:
    """The same training in this process: one replica, all of its steps."""
    problem = prepare(RunConfig(**settings), 2).with_interval(1)
    store = MemoryParameterStore(problem.layout, shard_rule(problem.config), fence=1)
    store.create(problem.initial_values.parameters, problem.initial_values.slots)
    train, _ = split(problem.dataset.n_examples, problem.config.holdout, problem.config.seed)
    examples = Examples(problem.dataset, Subset(train, 0, 1, problem.config.seed))
    replica = Replica(problem.model, examples, store, problem.config)
    replica.run(Token(1, 0, 1), UnitPlan.of(problem).total_steps)
    return problem, store


def heldout_score(problem: Problem, store: MemoryParameterStore) -> Score:
    _, heldout = split(problem.dataset.n_examples, problem.config.holdout, problem.config.seed)
    data, rows = problem.dataset, heldout[:]
    return score(
        whole(problem.model, store.fetch().vector), data.features[rows], data.targets[rows]
    )


#: Each makes 200 steps of digits: 40 minibatches a pass, the last one smaller.
TWO_HUNDRED_STEPS: dict[str, dict[str, Any]] = {
    "Adagrad, a network": {"model": "mlp", "shards": 3, "unit_steps": 70},
    "gradient descent, clipped and penalised": {
        "model": "softmax",
        "optimizer": "sgd",
        "learning_rate": 0.5,
        "learning_rate_decay": 0.01,
        "l2": 0.001,
        "clip_norm": 1.0,
    },
    "momentum": {"optimizer": "momentum", "learning_rate": 0.01},
    "RMSProp": {"optimizer": "rmsprop", "learning_rate": 0.001},
    "AdamW": {"optimizer": "adam", "learning_rate": 0.001, "weight_decay": 0.01},
    "FTRL": {"model": "softmax", "optimizer": "ftrl", "ftrl_l1": 0.5},
    "rounds": {
        "n_fetch": "auto",
        "n_push": "auto",
        "round_steps": 16,
        "outer_optimizer": "delayed_nesterov",
        "outer_momentum": 0.5,
    },
}


@pytest.mark.parametrize("case", TWO_HUNDRED_STEPS)
def test_two_hundred_steps_of_one_replica_equal_those_in_memory_bit_for_bit(
    case: str, train_shared: Train
) -> None:
    settings = {**ALONE, **ONLY_LAST, "batch_size": 36, "passes": 5, **TWO_HUNDRED_STEPS[case]}
    problem, store = in_memory(**settings)
    trained = train_shared(**settings)
    assert trained.steps == UnitPlan.of(problem).total_steps == 200
    trained_on = trained.saved.unfolded().parameters.astype(np.float32)
    trained_on[np.abs(trained_on) < 1e-12] = 0  # a bias that was zero comes back to rounding
    assert trained_on.tobytes() == store.fetch().vector.tobytes()
    assert {*trained.saved.slots} == {*store.rule.slots}
    for name, values in trained.saved.slots.items():
        assert values.tobytes() == store.fetch(f"slot:{name}").vector.tobytes()


def test_two_replicas_with_overlap_are_as_accurate_as_one_without(train_shared: Train) -> None:
    # 719 held-out examples: a hundredth is 7 of them. 40 minibatches a pass, either way.
    same = {"batch_size": 27, "holdout": 0.4, **ONLY_LAST}
    problem, store = in_memory(**ALONE, **same)
    trained = train_shared(replicas=2, overlap=True, **same)
    assert trained.steps == UnitPlan.of(problem).total_steps == 1600
    (last,) = trained.outcome.evaluations
    assert last.score.accuracy == pytest.approx(heldout_score(problem, store).accuracy, abs=0.01)


UNEVEN: dict[str, dict[str, Any]] = {
    "subsets of 27, 27 and 26 examples": {"replicas": 3, "batch_size": 13, "n_push": 1},
    "subsets smaller than a minibatch": {"replicas": 5, "batch_size": 50, "n_push": 1},
    "pushes that do not divide the steps": {
        "replicas": 2,
        "batch_size": 3,
        "n_push": 4,
        "n_fetch": 3,
        "unit_steps": 10,
    },
}


@pytest.mark.parametrize("case", UNEVEN)
def test_every_shards_clock_is_the_number_of_planned_pushes(case: str, train_shared: Train) -> None:
    settings = {"passes": 3, **ONLY_LAST, **UNEVEN[case]}
    trained = train_shared(
        data="synthetic:softmax",
        data_options={"examples": 100},
        model="softmax",
        block_numbers=16,
        shards=5,
        **settings,
    )
    small, larger = divmod(80, settings["replicas"])
    sizes = [small + (index < larger) for index in range(settings["replicas"])]
    steps = [settings["passes"] * math.ceil(size / settings["batch_size"]) for size in sizes]
    pushes = sum(math.ceil(each / settings["n_push"]) for each in steps)
    assert UnitPlan.of(trained.problem).total_pushes == pushes
    assert trained.clocks == {(pushes, 0)}
    assert len(trained.counts) == 5


def test_a_warm_start_lets_one_replica_work_alone(train_shared: Train) -> None:
    trained = train_shared(passes=3, warm_start_steps=50, n_push=2, overlap=False)
    # Two units, for there is an evaluation after 46 steps.
    first, second, *others = trained.units
    assert [first["unit"], second["unit"]] == ["downpour-0-46", "downpour-0-50"]
    # Nobody else pushed between any fetch and its push.
    assert {*first["staleness"], *second["staleness"]} == {"0"}
    assert {unit["unit"][:10] for unit in others} == {"downpour-0", "downpour-1"}
    assert trained.clocks == {(UnitPlan.of(trained.problem).total_pushes, 0)}


def test_a_training_goes_on_from_a_saved_model(train_shared: Train) -> None:
    before = train_shared(passes=5, **ONLY_LAST)
    # One step on all data with a tiny rate: 1,438 examples in one minibatch.
    after = train_shared(
        init_from=str(before.outcome.model_file),
        batch_size=2000,
        passes=1,
        learning_rate=1e-6,
        **{**ALONE, **ONLY_LAST},
    )
    assert after.clocks == {(1, 0)}
    (old,), (new,) = before.outcome.evaluations, after.outcome.evaluations
    assert new.score.loss == pytest.approx(old.score.loss, rel=1e-3)
    np.testing.assert_allclose(after.saved.parameters, before.saved.parameters, atol=1e-5)
    grown = after.saved.slots["adagrad"] - before.saved.slots["adagrad"]
    assert (before.saved.slots["adagrad"] > 0.2).any()
    assert (grown >= 0).all()
    assert 0 < grown.max() < 0.2


def test_a_finished_training_leaves_its_parameters_alone_on_the_servers(
    shared: LocalCluster, train_shared: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when its end finds a checkpoint half written."""
    write = checkpoint.write

    def slowly(*arguments: Any) -> Path:
        time.sleep(0.2)
        return write(*arguments)

    monkeypatch.setattr(checkpoint, "write", slowly)
    trained = train_shared(passes=5, checkpoint_seconds=0.001)
    assert keys_of(shared, trained.outcome.run) == {"meta", "params", "slot:adagrad"}


def test_a_training_stops_at_its_target(train_shared: Train) -> None:
    trained = train_shared(target=0.8, passes=1000, evaluate_every=1.0)
    assert trained.outcome.reason == "target reached"
    assert trained.outcome.heldout.score.accuracy >= 0.8
    assert trained.steps < UnitPlan.of(trained.problem).total_steps


def test_a_training_stops_when_its_time_is_up(train_shared: Train) -> None:
    trained = train_shared(max_seconds=0.5, passes=100_000)
    assert trained.outcome.reason == "time is up"
    assert 0.5 <= trained.outcome.seconds < 20


def test_a_training_stops_when_its_patience_is_out(train_shared: Train) -> None:
    trained = train_shared(learning_rate=1e-30, patience=2, evaluate_every=0.5, passes=100_000)
    assert trained.outcome.reason == "no better for the allowed number of evaluations"
    assert trained.outcome.heldout.number == 1


def test_intervals_left_to_us_are_chosen_once_and_written_down(train_shared: Train) -> None:
    settings = {"replicas": 2, "passes": 3, "n_push": "auto", "n_fetch": "auto"}
    trained = train_shared(**settings, **ONLY_LAST)
    config = trained.saved.facts["config"]
    assert config["n_push"] == config["n_fetch"]
    assert config["n_push"] in (1, 2, 4)
    pushes = UnitPlan.of(trained.problem.with_interval(config["n_push"])).total_pushes
    assert trained.clocks == {(pushes, 0)}
