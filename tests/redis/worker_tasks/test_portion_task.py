"""The portion's task, called as a worker calls it: what it adds, once, and what it refuses."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from distbelief.app.client.servers import Servers
from distbelief.app.datasets.cache.opening import default_cache_folder, open_cached
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.datasets.split.partition import portion
from distbelief.app.errors import DataError, DistBeliefError, ModelError, WorkerMismatch
from distbelief.app.layout.keys import PARAMETERS, named, shard
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import Vector
from distbelief.app.models.linear import SoftmaxRegression
from distbelief.app.models.model import Features, Targets
from distbelief.app.runs import batch, leadership, offers
from distbelief.app.runs.identity import Identity
from distbelief.app.runs.leadership import Claimant
from distbelief.app.runs.offers import Offer
from distbelief.app.runs.record import RunRecord
from distbelief.app.runs.snapshot import RunState
from distbelief.app.settings.config import RunConfig
from distbelief.app.settings.environment import BROKER, PARAMETER_SERVERS
from distbelief.app.store.redis.vectors import RedisVectorStore
from distbelief.coordinator.cluster.binaries import ServerProgram
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.worker_tasks import context, sandblaster
from distbelief.worker_tasks.lease import process_name
from distbelief.worker_tasks.portion import Share, rounded
from distbelief.worker_tasks.sandblaster import work_shift
from tests.dividing import split

PORTIONS = 5
QUANTUM = 2.0**-40
L2 = 0.01
GRADIENT = named("g")
DEADLINE_S = 60.0
FENCE, LEASE_S = 1, 60.0
CONFIG = RunConfig(
    algorithm="sandblaster",
    model="softmax",
    data="synthetic:softmax",
    data_options={"examples": 100, "features": 6, "classes": 3},
    l2=L2,
    block_numbers=4,
    shards=3,
)


@dataclass(frozen=True)
class Run:
    """A run whose record and first values lie on the servers."""

    id: str
    control: Servers
    servers: Servers
    store: RedisVectorStore

    def begin(self, number: int) -> None:
        """As the coordinator begins an evaluation."""
        self.store.begin(number, GRADIENT)
        fence = self.store.fence
        evaluation = batch.BatchEvaluation(number, fence, PARAMETERS, GRADIENT, PORTIONS, QUANTUM)
        batch.announce(self.control, self.id, evaluation)

    def reports(self) -> list[batch.Report]:
        return [each for each in self.news() if isinstance(each, batch.Report)]

    def news(self) -> list[batch.News]:
        return batch.collect(self.control, self.id, 0.01)

    def offer(self, *bundle: Offer, fence: int = FENCE) -> None:
        self.control.call(offers.offering(self.id, fence, [bundle]))

    def shards(self) -> list[dict[bytes, bytes]]:
        """Every key of the run on every parameter server, and all that it holds."""
        held = []
        for server in range(len(self.servers)):
            keys = sorted(self.servers.one("KEYS", f"ps:{{{self.id}/*", server=server))
            held.append({key: self.servers.one("DUMP", key, server=server) for key in keys})
        return held


@pytest.fixture
def run(
    cluster_of: Callable[[ServerProgram], LocalCluster],
    program: ServerProgram,
    run_id: str,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Run]:
    endpoints = cluster_of(program).endpoints
    monkeypatch.setenv(BROKER, endpoints.broker)
    monkeypatch.setenv(PARAMETER_SERVERS, ",".join(endpoints.parameter_servers))
    monkeypatch.setenv("DISTBELIEF_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setenv("DISTBELIEF_ALLOWED_IMPORTS", "")
    monkeypatch.setattr(sandblaster, "IDLE_S", 0.01)
    control, servers = Servers([endpoints.broker]), Servers(endpoints.parameter_servers)
    model = SoftmaxRegression(6, 3)
    layout = Layout.plan(model.tensors, n_servers=2, block_numbers=4, n_shards=3)
    dataset = open_cached(CONFIG.data, CONFIG.data_options, default_cache_folder())
    record = RunRecord(
        run_id, CONFIG, layout, tuple(servers.addresses), dataset.fingerprint, Schema(6, 3)
    )
    assert leadership.lead(control, record, Claimant("me", "here", 1), LEASE_S) == FENCE
    store = RedisVectorStore(servers, run_id, layout, fence=FENCE)
    store.create(np.random.default_rng(0).normal(size=layout.size))
    caches = (context.control_server, context.open_context, sandblaster._evaluation)
    for cache in caches:
        cache.cache_clear()
    opened = context.open_context(run_id, FENCE)
    yield Run(run_id, control, servers, store)
    opened.servers.close()
    context.control_server().close()
    for cache in caches:
        cache.cache_clear()
    control.close()
    servers.close()


def compute_portion(
    run_id: str, fence: int, evaluation: int, portion: int, dispatch: int, shift: int = 1
) -> str:
    """Offer a portion, and have this process work a shift."""
    bundle = [Offer(evaluation, portion, dispatch)]
    context.control_server().call(offers.offering(run_id, fence, [bundle]))
    return work_shift(run_id, fence, shift)


def share(run: Run, index: int) -> tuple[float, Vector]:
    """Loss and gradient of a portion, by the definition of the objective."""
    dataset = open_cached(CONFIG.data, CONFIG.data_options, default_cache_folder())
    train, _ = split(dataset.n_examples, CONFIG.holdout, CONFIG.seed)
    rows = np.concatenate(list(portion(train, index, PORTIONS)))
    parameters = run.store.fetch().vector
    gradient = np.empty_like(parameters)
    loss = SoftmaxRegression(6, 3).loss_and_gradient(
        parameters, dataset.features[rows], dataset.targets[rows], gradient
    )
    gradient *= len(rows) / len(train)
    weights = np.where(np.arange(21) < 18, parameters, 0)
    penalty = L2 * weights if index == 0 else 0 * weights
    return loss * len(rows) / len(train) + 0.5 * float(penalty @ weights), gradient + penalty


def assert_sum(run: Run, *portions: int) -> None:
    """The shards hold the sum of these portions, each counted once."""
    expected = np.sum([share(run, index)[1] for index in portions], axis=0)
    off = np.abs(run.store.fetch(GRADIENT).vector - expected)
    assert off.max() <= PORTIONS * QUANTUM


def test_a_portion_is_added_and_reported(run: Run) -> None:
    run.begin(1)
    for index in range(PORTIONS):
        assert compute_portion(run.id, FENCE, 1, index, 0) == "done"
    assert_sum(run, *range(PORTIONS))
    reports = run.reports()
    assert [report.portion for report in reports] == list(range(PORTIONS))
    for report in reports:
        assert report.loss == pytest.approx(share(run, report.portion)[0], rel=1e-12)
        assert report.largest == pytest.approx(abs(share(run, report.portion)[1]).max())
        assert (report.fence, report.evaluation, report.dispatch) == (FENCE, 1, 0)
        assert report.error == ""


def test_a_shift_takes_what_is_offered_in_bundles_and_tells_its_begin_and_end(run: Run) -> None:
    run.begin(1)
    run.offer(Offer(1, 0, 0), Offer(1, 1, 0), Offer(1, 2, 0))
    run.offer(Offer(1, 3, 0))
    assert work_shift(run.id, FENCE, 7) == "done"
    assert_sum(run, 0, 1, 2, 3)
    begun, *reports, over = run.news()
    assert (begun, over) == (batch.ShiftNews(FENCE, 7, False), batch.ShiftNews(FENCE, 7, True))
    assert [each.portion for each in reports if isinstance(each, batch.Report)] == [0, 1, 2, 3]
    assert offers.find(run.control, run.id, FENCE, [7]) == {}


def test_a_portion_of_a_bundle_that_a_backup_has_brought_counts_once(run: Run) -> None:
    run.begin(1)
    compute_portion(run.id, FENCE, 1, 1, 1)
    run.offer(Offer(1, 0, 0), Offer(1, 1, 0), Offer(1, 2, 0))
    assert work_shift(run.id, FENCE, 7) == "done"
    assert_sum(run, 0, 1, 2)


def test_of_a_bundle_only_the_portion_that_fails_is_reported_as_failed(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = context.RunContext.portion

    def fail(self: context.RunContext, index: int, n_portions: int) -> Any:
        if index == 1:
            raise ArithmeticError("not this one")
        return whole(self, index, n_portions)

    run.begin(1)
    monkeypatch.setattr(context.RunContext, "portion", fail)
    run.offer(Offer(1, 0, 0), Offer(1, 1, 0), Offer(1, 2, 0))
    with pytest.raises(ArithmeticError):
        work_shift(run.id, FENCE, 7)
    assert [(each.portion, bool(each.error)) for each in run.reports()] == [(0, False), (1, True)]
    assert_sum(run, 0)


def test_a_shift_ends_before_a_portion_that_others_would_have_to_wait_for(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.begin(1)
    monkeypatch.setattr(sandblaster, "SHIFT_S", 0.0)
    for index in range(3):
        run.offer(Offer(1, index, 0))
    assert work_shift(run.id, FENCE, 7) == "done"
    assert_sum(run, 0)
    left = offers.find(run.control, run.id, FENCE, [7])
    assert left == {Offer(1, 1, 0): None, Offer(1, 2, 0): None}


def test_a_task_that_is_delivered_twice_counts_once(run: Run) -> None:
    run.begin(1)
    compute_portion(run.id, FENCE, 1, 3, 0)
    before = run.shards()
    compute_portion(run.id, FENCE, 1, 3, 0)
    assert run.shards() == before
    assert_sum(run, 3)
    first, second = run.reports()
    assert (first.loss, first.largest) == (second.loss, second.largest)


def test_workers_that_finish_the_same_portion_at_once_count_once(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.begin(1)
    together = threading.Barrier(4, timeout=DEADLINE_S)

    def wait(gradient: Vector, step: float) -> Vector:
        together.wait()
        return rounded(gradient, step)

    monkeypatch.setattr(sandblaster, "rounded", wait)
    threads = [
        threading.Thread(target=compute_portion, args=(run.id, FENCE, 1, 2, dispatch, dispatch))
        for dispatch in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert_sum(run, 2)
    assert sorted(report.dispatch for report in run.reports()) == [0, 1, 2, 3]


def test_a_portion_of_an_expired_evaluation_is_refused_on_every_shard(run: Run) -> None:
    run.begin(1)
    compute_portion(run.id, FENCE, 1, 0, 0)
    run.reports()
    run.begin(2)
    compute_portion(run.id, FENCE, 2, 1, 0)
    run.reports()
    before = run.shards()
    assert compute_portion(run.id, FENCE, 1, 4, 0) == "fenced"
    assert run.shards() == before
    assert run.reports() == []
    assert_sum(run, 1)


def test_a_worker_that_comes_to_an_evaluation_too_late_has_nothing_to_do(run: Run) -> None:
    run.begin(1)
    run.begin(2)
    before = run.shards()
    assert compute_portion(run.id, FENCE, 1, 4, 0) == "data lost"
    assert run.shards() == before
    (report,) = run.reports()  # whether it is over or lost, the coordinator knows
    assert (report.evaluation, report.lost) == (1, True)


def test_a_worker_that_wakes_up_after_its_evaluation_changes_no_shard(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had fetched the parameters and computed the gradient, and only then fell asleep."""
    run.begin(1)
    before = []

    def sleep(gradient: Vector, step: float) -> Vector:
        run.begin(2)
        run.store.accumulate(FENCE, 2, GRADIENT, 0, np.ones(21))
        before.append(run.shards())
        return rounded(gradient, step)

    monkeypatch.setattr(sandblaster, "rounded", sleep)
    assert compute_portion(run.id, FENCE, 1, 4, 0) == "fenced"
    assert run.shards() == before[0]
    assert run.reports() == []


def test_a_portion_after_the_end_of_its_run_is_refused(run: Run) -> None:
    run.begin(1)
    compute_portion(run.id, FENCE, 1, 0, 0)
    run.store.raise_fence(FENCE + 1)
    leadership.close(run.control, run.id, "me", RunState.FINISHED, {})
    run.reports()
    before = run.shards()
    assert compute_portion(run.id, FENCE, 1, 1, 0) == "fenced"
    assert run.shards() == before
    assert run.reports() == []


@pytest.mark.parametrize("fence", [FENCE - 1, FENCE + 1])
def test_a_portion_under_another_fence_than_its_runs_is_refused(run: Run, fence: int) -> None:
    run.begin(1)
    before = run.shards()
    assert compute_portion(run.id, fence, 1, 0, 0) == "fenced"
    assert run.shards() == before
    assert run.reports() == []


def test_a_portion_of_a_coordinator_that_was_taken_over_is_refused(run: Run) -> None:
    """The process has the run open, and the evaluation as well."""
    run.begin(1)
    compute_portion(run.id, FENCE, 1, 0, 0)
    run.reports()
    new = RedisVectorStore(run.servers, run.id, run.store.layout, fence=FENCE)
    new.raise_fence(FENCE + 1)
    before = run.shards()
    assert compute_portion(run.id, FENCE, 1, 1, 0) == "fenced"
    assert run.shards() == before
    assert run.reports() == []


def test_an_evaluation_of_the_coordinator_before_is_not_taken_for_ones_own(run: Run) -> None:
    """A new coordinator goes on with the numbers of the one before it, or with lower ones."""
    run.begin(1)
    record = leadership.read_run(run.control, run.id, FENCE)
    you = Claimant("you", "there", 2)
    assert leadership.lead(run.control, record, you, LEASE_S, take_over=True) == FENCE + 1
    run.store.raise_fence(FENCE + 1)
    assert compute_portion(run.id, FENCE + 1, 1, 0, 0) == "fenced"
    run.begin(1)  # the same number, under the new fence
    assert compute_portion(run.id, FENCE + 1, 1, 0, 0) == "done"
    assert [report.fence for report in run.reports()] == [FENCE + 1]
    assert_sum(run, 0)
    opened = [context.open_context(run.id, fence) for fence in (FENCE, FENCE + 1)]
    assert opened[0].data is opened[1].data  # mapped once
    opened[1].servers.close()


def test_a_shard_that_lost_the_run_is_reported_to_the_coordinator(run: Run) -> None:
    run.begin(1)
    layout = run.store.layout
    assert run.servers.one("DEL", shard(run.id, 1, "meta"), server=layout.server(1)) == 1
    assert compute_portion(run.id, FENCE, 1, 0, 3) == "data lost"
    (report,) = run.reports()
    assert (report.fence, report.evaluation, report.portion, report.dispatch) == (FENCE, 1, 0, 3)
    assert report.error.startswith("shard 1 does not know this run")


def test_an_error_of_the_model_is_reported_with_its_traceback(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(
        self: object, parameters: Vector, features: Features, targets: Targets, gradient: Vector
    ) -> float:
        raise ArithmeticError("my own mistake")

    run.begin(1)
    monkeypatch.setattr(SoftmaxRegression, "loss_and_gradient", fail)
    with pytest.raises(ArithmeticError):
        compute_portion(run.id, FENCE, 1, 1, 2)
    (report,) = run.reports()
    assert (report.portion, report.dispatch) == (1, 2)
    assert report.error.startswith("Traceback")
    assert report.error.rstrip().endswith("ArithmeticError: my own mistake")


def test_a_loss_that_is_not_finite_is_reported_and_nothing_is_added(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.begin(1)
    before = run.shards()
    monkeypatch.setattr(sandblaster, "compute", lambda *_, **__: Share(math.nan, np.ones(21), 1.0))
    assert compute_portion(run.id, FENCE, 1, 1, 0) == "done"
    assert run.shards() == before
    assert [report.loss for report in run.reports()] == [math.inf]


def test_a_sum_that_is_not_finite_is_reported_as_an_infinite_loss(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.begin(1)
    largest = np.full(21, np.finfo(np.float64).max)
    run.store.accumulate(FENCE, 1, GRADIENT, 0, largest)
    monkeypatch.setattr(
        sandblaster, "compute", lambda *_, **__: Share(1.0, largest, float(largest[0]))
    )
    monkeypatch.setattr(sandblaster, "rounded", lambda gradient, step: gradient)
    compute_portion(run.id, FENCE, 1, 1, 0)
    assert [report.loss for report in run.reports()] == [math.inf]
    assert run.store.fetch(GRADIENT).vector.tolist() == largest.tolist()


def other(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[DistBeliefError] = WorkerMismatch,
    **changes: Any,
) -> str:
    """The error of a portion whose run has another record than this process would write."""
    record = replace(leadership.read_run(run.control, run.id, FENCE), **changes)
    monkeypatch.setattr(context, "read_run", lambda *_: record)
    context.open_context.cache_clear()
    run.begin(1)
    before = run.shards()
    with pytest.raises(kind):
        compute_portion(run.id, FENCE, 1, 1, 0)
    assert run.shards() == before
    (report,) = run.reports()
    assert report.mismatch is (kind is WorkerMismatch)
    return report.error


def test_a_portion_of_a_coordinator_with_other_code_is_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = other(run, monkeypatch, identity=Identity("1", "abc"))
    assert "(version 1, digest abc)" in said
    assert process_name() in said


def test_a_model_with_other_tensors_than_the_layout_is_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = run.store.layout
    tensors = (replace(layout.tensors[0], name="W"), *layout.tensors[1:])
    said = other(run, monkeypatch, layout=replace(layout, tensors=tensors))
    assert "builds softmax with the tensors weights (6, 3), bias (3,)" in said
    assert "the coordinator with W (6, 3), bias (3,)" in said


def test_servers_in_another_order_are_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    turned = ",".join(reversed(os.environ[PARAMETER_SERVERS].split(",")))
    monkeypatch.setenv(PARAMETER_SERVERS, turned)
    assert "in another order than the coordinator" in other(run, monkeypatch)


def test_another_number_of_servers_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PARAMETER_SERVERS, os.environ[PARAMETER_SERVERS].split(",")[0])
    assert "names 1" in other(run, monkeypatch)


def test_a_run_that_names_servers_of_other_hosts_is_not_believed(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may write to the control server would have workers call anybody."""
    monkeypatch.delenv(PARAMETER_SERVERS)
    there = ("redis://169.254.169.254:80", "redis://169.254.169.254:81")
    said = other(run, monkeypatch, parameter_servers=there)
    assert "calls no redis://169.254.169.254:80 because a run says so" in said
    assert "DISTBELIEF_PARAMETER_SERVERS" in said


def test_a_run_of_an_absurd_size_is_refused_before_anything_is_made(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = run.store.layout
    tensors = (replace(layout.tensors[0], shape=(1 << 40, 3)), *layout.tensors[1:])
    huge = replace(layout, tensors=tensors, block_numbers=1 << 16)
    assert "parameters: two copies take" in other(run, monkeypatch, ModelError, layout=huge)


def test_a_run_whose_data_or_model_the_operator_did_not_allow_is_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTBELIEF_DATA_ROOTS", "/data")
    passwords = CONFIG.model_copy(update={"data": "/etc/passwd"})
    said = other(run, monkeypatch, DataError, config=passwords)
    assert "workers here open data only under /data" in said
    assert "root:" not in said
    command = CONFIG.model_copy(update={"model": "os:system"})
    assert "DISTBELIEF_ALLOWED_IMPORTS=os here" in other(
        run, monkeypatch, ModelError, config=command
    )
