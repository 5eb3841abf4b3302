"""Training with tables on a cluster: the bits of one process, and every push once."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from distbelief.app.datasets.split.partition import Subset, in_file_order
from distbelief.app.errors import ExitCode
from distbelief.app.layout.keys import PARAMETERS, slot
from distbelief.app.models.files import read_model
from distbelief.app.optimizers.registry import shard_rule
from distbelief.app.settings.config import RunConfig
from distbelief.app.store.contract.parameters import Token
from distbelief.app.store.memory.parameters import MemoryParameterStore
from distbelief.coordinator.downpour.units import UnitPlan
from distbelief.coordinator.problem.problem import prepare
from distbelief.worker_tasks.copies import Examples
from distbelief.worker_tasks.replica import Replica
from distbelief.worker_tasks.table_copy import shares_of
from tests.cluster.processes import children_of, send, words_of
from tests.dividing import split

Train = Callable[..., Any]
Start = Callable[..., Any]
Until = Callable[..., None]

CLICKS: dict[str, Any] = {
    "data": "synthetic:clicks",
    "data_options": {"examples": 400, "features": 3000, "fields": 6},
    "table_numbers": 1,
}
ALONE = {"replicas": 1, "n_fetch": 1, "n_push": 1, "overlap": False, "evaluate_every": 1000.0}
BY_ROUNDS = {"round_steps": 3, "n_fetch": 3, "n_push": 3, "outer_momentum": 0.5, "wire": "bfloat16"}


def in_memory(config: RunConfig) -> MemoryParameterStore:
    """The same training in this process: one replica, all of its steps."""
    problem = prepare(config, 2)
    config = problem.config  # with what an outer rule has by default
    store = MemoryParameterStore(problem.layout, shard_rule(config), fence=1)
    values = problem.initial_values
    store.create(values.parameters, values.slots, values.tables)
    train, _ = split(problem.dataset.n_examples, config.holdout, config.seed)
    blocks = in_file_order(train)
    shares = shares_of(problem.model, problem.dataset, blocks, problem.layout) if config.l2 else []
    examples = Examples(problem.dataset, Subset(train, 0, 1, config.seed), shares)
    total = UnitPlan.of(problem).total_steps
    Replica(problem.model, examples, store, config).run(Token(1, 0, 1), total)
    return store


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "logistic", "l2": 0.001, "shards": 3},
        {"model": "fm", "rank": 3, "clip_norm": 0.5},
        {"model": "wide_deep", "embedding": 3, "hidden": (8,)},
        {"model": "logistic", "optimizer": "ftrl", "ftrl_l1": 0.1},
        {"model": "fm", "rank": 3, **BY_ROUNDS},
    ],
    ids=str,
)
def test_one_replica_on_servers_equals_one_in_memory_bit_for_bit(
    settings: dict[str, Any], train_shared: Train
) -> None:
    settings = CLICKS | ALONE | {"batch_size": 16, "passes": 2} | settings
    store, trained = in_memory(RunConfig(**settings)), train_shared(**settings)
    saved = trained.saved
    assert saved.parameters.tobytes() == store.fetch().vector.tobytes()
    for name in (PARAMETERS, *map(slot, store.rule.slots)):
        for ours, theirs in zip(saved.tables[name], store.touched(name), strict=True):
            assert ours.ids.tolist() == theirs.ids.tolist()
            assert ours.values.tobytes() == theirs.values.tobytes()


def test_a_saved_model_scores_as_the_run_said(train_shared: Train, command: Start) -> None:
    trained = train_shared(**CLICKS, model="fm", passes=3, replicas=2)
    heldout = trained.outcome.heldout.score
    options = [f"--data-option={key}={value}" for key, value in CLICKS["data_options"].items()]
    words = ("--model", trained.outcome.model_file, "--data", CLICKS["data"], *options)
    evaluated = command("evaluate", *words, "--part=heldout")
    assert evaluated.ends() == ExitCode.OK, evaluated.err
    assert f"loss {heldout.loss:.6g}" in evaluated.out


def test_a_model_trained_by_row_goes_on_as_a_flat_one_and_back(train_shared: Train) -> None:
    by_row = train_shared(**CLICKS, model="logistic", passes=2)
    flat = {**CLICKS, "table_numbers": 10**9}
    file = str(by_row.outcome.model_file)
    still = {"optimizer": "sgd", "learning_rate": 1e-30, "passes": 1, "model": "logistic"}
    dense = train_shared(**flat, **still, init_from=file)
    assert dense.saved.tables == {}
    assert np.array_equal(dense.saved.parameters, by_row.saved.flat())
    again = train_shared(**CLICKS, **still, init_from=str(dense.outcome.model_file))
    assert np.array_equal(again.saved.flat(), dense.saved.parameters)


def test_sandblaster_takes_the_same_data_with_dense_parameters(train_shared: Train) -> None:
    trained = train_shared(
        **CLICKS, model="logistic", algorithm="sandblaster", l2=0.01, iterations=30
    )
    assert trained.saved.tables == {}
    assert trained.saved.parameters.shape == (3001,)
    assert trained.outcome.heldout.score.accuracy > 0.55


@pytest.mark.parametrize(
    "rounds", [(), pytest.param(("--round-steps=7",), marks=pytest.mark.slow)], ids=str
)
def test_killed_servers_and_workers_cost_no_push_and_double_none(
    rounds: tuple[str, ...], command: Start, until: Until
) -> None:
    words = ["--data=synthetic:clicks", "--data-option=features=20000", "--table-numbers=1"]
    words += ["--model=logistic", "--passes=20", "--batch-size=64", "--unit-steps=20"]
    words += ["--lease-seconds=1", "--checkpoint-seconds=0.3", "--evaluate-every=5"]
    training = command("train", *words, *rounds)
    training.says("pass ")

    def of(*names: str) -> list[Any]:
        found = [(each, " ".join(words_of(each))) for each in training.alive()]
        return [each for each, line in found if all(name in line for name in names)]

    until(lambda: len(list(training.folder.parent.glob("runs/*/checkpoints/*"))) > 1, "checkpoints")
    workers = [each for each in of("celery") if not children_of(each.pid)]
    send(workers[0])
    servers = of("parameter")
    send(servers[-1])
    assert training.ends() == ExitCode.OK, training.err
    assert "came back from checkpoint" in training.err
    (applied, shards, planned) = re.findall(
        r"applied: (\d+) on each of (\d+) shards, (\d+) planned", training.out
    )[0]
    assert (applied, int(shards)) == (planned, 9)
    assert read_model(training.model).tables[PARAMETERS][0].ids.size
