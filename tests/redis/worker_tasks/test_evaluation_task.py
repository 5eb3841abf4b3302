"""Held-out evaluations on real servers: their tasks, the scores these lay down, the AUC."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    log_loss,
    precision_score,
    recall_score,
    roc_auc_score,
)

from distbelief.app.client.servers import Servers
from distbelief.app.layout.keys import control
from distbelief.app.models import auc
from distbelief.app.optimizers.registry import build_rule
from distbelief.app.runs import leadership
from distbelief.app.runs.leadership import Claimant
from distbelief.app.runs.ledger import Ledger
from distbelief.app.runs.record import RunRecord
from distbelief.app.settings.config import RunConfig
from distbelief.app.settings.environment import BROKER, PARAMETER_SERVERS
from distbelief.app.store.redis.parameters import RedisParameterStore
from distbelief.coordinator.cluster.binaries import ServerProgram
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.problem.problem import Problem, prepare
from distbelief.coordinator.progress.outcome import HeldoutEvaluation
from distbelief.coordinator.runs.dispatch import Dispatcher
from distbelief.coordinator.runs.heldout import HeldoutEvaluations
from distbelief.worker_tasks import context
from distbelief.worker_tasks.evaluation import evaluate

FENCE, LEASE_S = 1, 60.0
THRESHOLD = 0.4
WORKERS = 2
CONFIG: dict[str, Any] = {
    "model": "logistic",
    "data": "synthetic:logistic",
    "data_options": {"examples": 200, "features": 4},
    "threshold": THRESHOLD,
    "block_numbers": 2,
    "shards": 2,
}


@dataclass
class Run:
    """A run on real servers, whose tasks are done in this process when told."""

    problem: Problem
    control: Servers
    store: RedisParameterStore
    evaluations: HeldoutEvaluations
    id: str
    sent: list[str] = field(default_factory=list)

    def work(self, times: int = 1) -> list[str]:
        """Do every task that was sent, each so often; what they answered."""
        units, self.sent[:] = list(self.sent), []
        return [evaluate(self.id, unit) for unit in units for _ in range(times)]

    def complete(self, times: int = 1) -> HeldoutEvaluation:
        """One evaluation of the present parameters."""
        self.evaluations.start(1.0, 1.0)
        self.work(times)
        return self.collected()

    def collected(self) -> HeldoutEvaluation:
        found = self.evaluations.collect(0.01)
        assert found is not None
        return found

    def truth(self) -> tuple[Any, Any]:
        """Labels of the held-out examples, and their probabilities by the model itself."""
        features, targets = self.problem.data.heldout.between(0, self.problem.n_heldout)
        return targets, self.problem.model.predict(self.store.fetch().vector, features)

    def left(self) -> bool:
        """Whether anything lies on the control server but the run's record."""
        keys = set(self.control.one("KEYS", control(self.id, "*")))
        return keys - {control(self.id, what).encode() for what in ("record", "wakeup")} != set()


@pytest.fixture
def begin(
    cluster_of: Callable[[ServerProgram], LocalCluster],
    program: ServerProgram,
    run_id: str,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[..., Run]]:
    """Makes a run with given settings."""
    endpoints = cluster_of(program).endpoints
    monkeypatch.setenv(BROKER, endpoints.broker)
    monkeypatch.setenv(PARAMETER_SERVERS, ",".join(endpoints.parameter_servers))
    monkeypatch.setenv("DISTBELIEF_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setattr("distbelief.coordinator.runs.heldout.PART_EXAMPLES", 7)
    server, servers = Servers([endpoints.broker]), Servers(endpoints.parameter_servers)
    caches = (context.control_server, context.open_context)
    for cache in caches:
        cache.cache_clear()

    def make(**settings: Any) -> Run:
        problem = prepare(RunConfig(**CONFIG | settings), len(servers))
        data = problem.dataset
        record = RunRecord(
            run_id,
            problem.config,
            problem.layout,
            tuple(servers.addresses),
            data.fingerprint,
            data.schema,
            scaling=problem.scaling,
        )
        leadership.lead(server, record, Claimant("me", "here", 1), LEASE_S)
        rule, dtype = build_rule(problem.config), problem.config.dtype
        store = RedisParameterStore(servers, run_id, problem.layout, rule, dtype, fence=FENCE)
        first = np.random.default_rng(0).normal(size=problem.layout.size).astype(dtype)
        store.create(first, problem.initial_values.slots)
        sent: list[str] = []
        dispatcher = Dispatcher(
            Ledger(server, run_id),
            lambda task, unit, attempt: sent.append(unit),
            lambda task: set(),
            fence=FENCE,
            lease_s=LEASE_S,
            max_tries=3,
            stall_s=60.0,
        )
        session = SimpleNamespace(
            control=server, record=record, config=problem.config, dispatcher=dispatcher
        )
        evaluations = HeldoutEvaluations(cast("Any", session), problem, store, WORKERS)
        return Run(problem, server, store, evaluations, run_id, sent)

    yield make
    context.control_server().close()
    for cache in caches:
        cache.cache_clear()
    server.close()
    servers.close()


Begin = Callable[..., Run]


def test_the_figures_of_all_parts_are_those_of_scikit_learn_on_the_whole(begin: Begin) -> None:
    run = begin()
    labels, chances = run.truth()
    found = run.complete().score
    answers = chances > THRESHOLD
    assert found.auc == pytest.approx(roc_auc_score(labels, chances), abs=1e-12, rel=0)
    assert found.auc_exact
    assert found.accuracy == np.mean(answers == labels)
    assert found.precision == precision_score(labels, answers)
    assert found.recall == recall_score(labels, answers)
    assert found.log_loss == pytest.approx(log_loss(labels, chances), rel=1e-6)


@pytest.mark.parametrize("most_ranked", [2_000_000, 10])
def test_they_are_so_with_the_weights_of_a_file(
    begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most_ranked: int
) -> None:
    monkeypatch.setattr(auc, "MOST_RANKED", most_ranked)
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(200, 4)).round(3), rng.integers(0, 4, 200)
    rows = np.column_stack([x, w, x[:, 0] + rng.normal(size=200) > 0])
    np.savetxt(tmp_path / "data.csv", rows, "%g", ",", header="a,b,c,d,w,y", comments="")
    run = begin(data=str(tmp_path / "data.csv"), data_options={"weight": "w", "target": "y"})
    labels, chances = run.truth()
    of = {"sample_weight": run.problem.data.heldout.weights(0, len(labels))}
    found, answers = run.complete().score, chances > THRESHOLD
    expected = roc_auc_score(labels, chances, **of)
    assert found.auc == pytest.approx(expected, abs=1e-9 if found.auc_exact else 0.01)
    assert found.auc_exact == (most_ranked > 10)
    assert found.accuracy == pytest.approx(accuracy_score(labels, answers, **of))
    assert found.precision == pytest.approx(precision_score(labels, answers, **of))
    assert found.recall == pytest.approx(recall_score(labels, answers, **of))
    assert found.log_loss == pytest.approx(log_loss(labels, chances, **of), rel=1e-6)


def test_scores_lie_on_the_server_until_the_evaluation_is_complete(begin: Begin) -> None:
    run = begin()
    run.evaluations.start(1.0, 1.0)
    parts = len(run.sent)
    assert parts == math.ceil(40 / 7)
    run.work()
    assert run.control.one("HLEN", control(run.id, "deposits")) == parts
    run.collected()
    assert not run.left()


def test_tasks_that_come_twice_change_nothing(begin: Begin) -> None:
    run = begin()
    once, twice = run.complete(), run.complete(times=2)
    assert once.score == twice.score
    assert not run.left()


def test_an_abandoned_evaluation_leaves_nothing_behind(begin: Begin) -> None:
    run = begin()
    run.evaluations.start(1.0, 1.0)
    late = run.sent.pop()
    run.work()
    run.evaluations.collect(0.01)
    run.evaluations.abandon()
    assert evaluate(run.id, late) == "nothing to do"
    assert not run.left()


def test_scores_that_were_lost_cost_the_auc_and_not_the_run(begin: Begin) -> None:
    run = begin()
    whole = run.complete()
    run.evaluations.start(2.0, 2.0)
    run.work()
    run.control.one("HDEL", control(run.id, "deposits"), "evaluation-2-14")
    found = run.collected()
    assert found.auc_lost
    assert found.score.auc is None
    assert found.score.accuracy == whole.score.accuracy
    assert not run.left()
    assert run.complete().score.auc == whole.score.auc


def test_very_many_examples_are_counted_in_bins_and_nothing_is_laid_down(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auc, "MOST_RANKED", 10)
    run = begin()
    labels, chances = run.truth()
    run.evaluations.start(1.0, 1.0)
    run.work()
    assert not run.control.one("EXISTS", control(run.id, "deposits"))
    found = run.collected().score
    assert not found.auc_exact
    assert found.auc == pytest.approx(roc_auc_score(labels, chances), abs=0.01)
    assert found.histogram == ()


def test_where_there_is_no_auc_nothing_is_laid_down(begin: Begin) -> None:
    options = {"examples": 200, "features": 4, "classes": 3}
    run = begin(data="synthetic:softmax", data_options=options, model="softmax")
    run.evaluations.start(1.0, 1.0)
    run.work()
    assert not run.control.one("EXISTS", control(run.id, "deposits"))
    assert run.collected().score.auc is None


def test_a_part_ends_when_others_have_waited_and_its_rest_is_sent_again(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distbelief.worker_tasks.evaluation.SHORT_CHUNK", 3)
    run = begin(unit_seconds=1e-9)
    labels, chances = run.truth()
    run.evaluations.start(1.0, 1.0)
    found, tasks = None, 0
    while found is None:
        assert 0 < len(run.sent) <= WORKERS  # no more are out than there are processes
        tasks += len(run.work())
        found = run.evaluations.collect(0.01)
    assert tasks == 5 * math.ceil(7 / 3) + math.ceil(5 / 3)
    assert found.score.n_examples == len(labels)
    assert found.score.auc == pytest.approx(roc_auc_score(labels, chances), abs=1e-12, rel=0)
    assert found.score.accuracy == np.mean((chances > THRESHOLD) == labels)
    assert not run.left()
