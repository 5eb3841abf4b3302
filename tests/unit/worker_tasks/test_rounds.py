"""Rounds: a replica takes steps of its own, and what they changed counts once."""

from __future__ import annotations

import copy
import itertools
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.sources.source import Generated
from distbelief.app.datasets.split.partition import Subset
from distbelief.app.layout.tensors import Vector
from distbelief.app.models.linear import SoftmaxRegression
from distbelief.app.models.model import Features, Model, Targets
from distbelief.app.optimizers.registry import OPTIMIZERS, build_rule, shard_rule
from distbelief.app.optimizers.schedule import Schedule
from distbelief.app.settings.config import RunConfig
from distbelief.app.store.contract.parameters import Token
from distbelief.app.store.memory.parameters import MemoryParameterStore
from distbelief.worker_tasks import push_points
from distbelief.worker_tasks.copies import Examples
from distbelief.worker_tasks.replica import Replica
from distbelief.worker_tasks.round_copy import OwnStates
from tests.unit.worker_tasks.test_replica import (
    FENCE,
    Flooding,
    Fuse,
    Overflowing,
    Poisoned,
    Stopped,
    Tally,
    counted,
    identity,
    replica_of,
    store_for,
    tallying,
)

DATA = Generated("synthetic:softmax").load({"examples": 96, "features": 5, "classes": 3})
MODEL = SoftmaxRegression(5, 3)


def rounds_of(steps: int, **settings: Any) -> RunConfig:
    usual = {"replicas": 1, "batch_size": 4, "overlap": False, "round_steps": steps}
    return RunConfig(**usual | settings).with_interval(1)


class Plain:
    """One replica that takes its steps in float64, and the shard that takes its rounds."""

    def __init__(self, model: Model, data: Dataset, config: RunConfig) -> None:
        self.model = model
        self.data = data
        self.config = config
        self.rule = build_rule(config)
        self.shard_rule = shard_rule(config)

    def run(self, replica: Replica, steps: int) -> npt.NDArray[np.float64]:
        config, subset = self.config, replica.examples.subset
        schedule = Schedule.of(config, subset.steps_per_pass(config.batch_size))
        shard = [self.model.initial(np.random.default_rng(config.seed)).astype(np.float64)]
        shard += self.shard_rule.initial_slots(shard[0]).values()
        own = [*self.rule.initial_slots(shard[0]).values()]
        length, local, gradient = config.round_steps or 0, shard[0], np.empty_like(shard[0])
        for step in range(steps):
            rows = subset.minibatch(step, config.batch_size)
            features, targets = self.data.features[rows], self.data.targets[rows]
            self.model.loss_and_gradient(local, features, targets, gradient)
            rule = self.rule.paced(schedule.share(step))
            local, *own = rule.step(gradient, [local, *own], step)
            if (step + 1) % length == 0 or step + 1 == steps:
                difference = shard[0] - local
                shard = [*self.shard_rule.step(difference, shard, step // length)]
                local = shard[0]
                own = [*self.rule.fitting(local, own)]
        return shard[0]


@pytest.mark.parametrize("outer", ["momentum", "nesterov", "delayed_nesterov"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_one_replica_takes_the_rounds_of_a_plain_loop(optimizer: str, outer: str) -> None:
    config = rounds_of(
        5, optimizer=optimizer, learning_rate=0.05, outer_optimizer=outer, outer_momentum=0.5,
        schedule=None if optimizer == "ftrl" else "cosine", passes=4,
    )  # fmt: skip
    store = store_for(MODEL, config)
    replica = replica_of(MODEL, DATA, store, config)
    for stop in (20, 45, 72):
        replica.run(Token(FENCE, 0, 1), stop)
    expected = Plain(MODEL, DATA, config).run(replica, 72)
    assert {count.applied for count in store.counts()} == {15}
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(store.fetch().vector, expected, rtol=1e-3, atol=1e-4)


@given(
    length=st.integers(1, 7),
    overlap=st.booleans(),
    stops=st.sets(st.integers(1, 60), max_size=5),
)
def test_a_stop_costs_at_most_the_steps_of_a_round_and_nothing_counts_twice(
    length: int, overlap: bool, stops: set[int]
) -> None:
    config = tallying(replicas=1, batch_size=2, round_steps=length, overlap=overlap)
    computed = list[int]()
    model = Tally(12, lambda *_: computed.append(1))
    store = store_for(model, config)
    replica, check = replica_of(model, identity(12), store, config), Fuse(stops)
    for attempt in itertools.count(1):
        try:
            replica.run(Token(FENCE, 0, attempt), 30, check)
        except Stopped:
            continue
        break
    assert counted(store) == [5] * 12
    assert {count.applied for count in store.counts()} == {math.ceil(30 / length)}
    # A push that was under way is awaited when the unit is left.
    assert len(computed) - 30 <= len(stops) * (length - 1)


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes on by a second whenever somebody looks at it."""
    seconds = itertools.count()
    clock = SimpleNamespace(perf_counter=lambda: float(next(seconds)))
    monkeypatch.setattr(push_points, "time", clock)


@pytest.mark.usefixtures("ticking")
@pytest.mark.parametrize(("seconds", "pushes"), [(1.0, 8), (2.0, 4), (3.0, 3), (100.0, 1)])
def test_a_round_of_some_seconds_ends_at_the_next_multiple_and_counts_for_all(
    seconds: float, pushes: int
) -> None:
    """The clock is looked at after each third step: at every one after so many seconds."""
    config = tallying(replicas=1, batch_size=2, round_steps=3, round_seconds=seconds, passes=4)
    store = store_for(Tally(12), config)
    report = replica_of(Tally(12), identity(12), store, config).run(Token(FENCE, 0, 1), 24)
    assert (report.steps, report.pushes) == (24, pushes)
    assert counted(store) == [4] * 12
    assert {count.applied for count in store.counts()} == {8}
    assert report.staleness == {0: pushes * store.layout.n_shards}


@given(
    length=st.integers(1, 5),
    seconds=st.integers(1, 4),
    overlap=st.booleans(),
    stops=st.sets(st.integers(1, 60), max_size=5),
    lost=st.sets(st.integers(0, 8), max_size=3),
)
def test_rounds_of_some_seconds_are_made_again_where_a_shard_lost_them(
    length: int, seconds: int, overlap: bool, stops: set[int], lost: set[int]
) -> None:
    """Shards that went back have other numbers than the rest, and each step counts once on each."""
    config = tallying(
        replicas=1, batch_size=2, round_steps=length, round_seconds=seconds, overlap=overlap
    )
    store = store_for(Tally(12), config)
    replica, check = replica_of(Tally(12), identity(12), store, config), Fuse(stops)
    older = [copy.deepcopy(store._shards)]
    ticks = itertools.count()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(push_points, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
        for attempt in itertools.count(1):
            try:
                replica.run(Token(FENCE, 0, attempt), 30, check)
            except Stopped:
                if attempt in lost:  # and the coordinator has found out
                    shard = attempt % store.layout.n_shards
                    store._shards[shard] = copy.deepcopy(older[attempt // 2][shard])
                older.append(copy.deepcopy(store._shards))
                continue
            break
    assert counted(store) == [5] * 12
    assert {count.applied for count in store.counts()} == {math.ceil(30 / length)}


def test_the_state_of_the_rule_goes_on_here_and_begins_anew_where_a_unit_moves_to() -> None:
    config = rounds_of(4, optimizer="adagrad")
    store, here, there = store_for(MODEL, config), OwnStates(), OwnStates()

    def ages(states: OwnStates, stop: int) -> tuple[int, int]:
        replica = replica_of(MODEL, DATA, store, config)
        replica.states = states
        replica.run(Token(FENCE, 0, 1), stop)
        return states[0].age, states[0].step

    assert ages(here, 8) == (8, 8)
    assert ages(here, 12) == (12, 12)
    assert ages(there, 16) == (4, 16)
    assert ages(here, 20) == (4, 20)  # the steps between were another's
    assert ages(there, 24) == (4, 24)


def test_the_state_of_the_rule_is_the_processs_where_each_unit_is_of_another_stream() -> None:
    config, states = rounds_of(4, optimizer="adagrad", streams=3), OwnStates()
    store = store_for(MODEL, config)
    for number, subset in enumerate((2, 0, 1), start=1):
        part = Subset(np.arange(DATA.n_examples), subset, 3, config.seed)
        replica = Replica(MODEL, Examples(DATA, part), store, config, states)
        replica.run(Token(FENCE, subset, number), 8)
        assert [*states] == [0]
        assert (states[0].age, states[0].step) == (8 * number, 8)


def test_a_round_weighs_what_those_at_work_make_of_it() -> None:
    config = tallying(replicas=4, round_steps=3)
    for weight in (1.0, 2.0):
        store = store_for(Tally(4), config)
        replica = replica_of(Tally(4), identity(4), store, config)
        replica.weight = weight
        replica.run(Token(FENCE, 0, 1), 3)
        assert -store.fetch().vector[0] == 3 * weight


def test_a_state_that_is_ahead_of_the_shards_is_not_gone_on_with() -> None:
    config = rounds_of(4, optimizer="adagrad")
    store, states = store_for(MODEL, config), OwnStates()
    replica = replica_of(MODEL, DATA, store, config)
    replica.states = states
    with pytest.raises(Stopped):
        replica.run(Token(FENCE, 0, 1), 8, Fuse({7}))
    assert states[0].step == 6
    replica.run(Token(FENCE, 0, 2), 8)
    assert (states[0].age, states[0].step) == (4, 8)


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("optimizer", ["sgd", "adagrad", "ftrl"])
@pytest.mark.parametrize("model", [Poisoned(10), Overflowing(10), Flooding(10)])
def test_a_round_that_is_not_finite_is_refused_as_a_whole_and_no_other_is(
    model: Tally, optimizer: str, overlap: bool
) -> None:
    """The first step of each pass is the poisoned one: three rounds of six have one."""
    config = rounds_of(5, optimizer=optimizer, batch_size=1, overlap=overlap, learning_rate=1.0)
    data = identity(10)
    store = store_for(model, config)
    replica = replica_of(model, data, store, config)
    report = replica.run(Token(FENCE, 0, 1), 30)
    shards = {(count.applied, count.refused) for count in store.counts()}
    assert np.isfinite(store.fetch().vector).all()
    assert (report.steps, report.pushes) == (30, 6)
    if isinstance(model, Poisoned):
        assert report.refused == 3
        assert shards == {(3, 3)}
    for applied, refused in shards:
        assert applied + refused == 6


def test_two_replicas_by_rounds_are_averaged() -> None:
    """At rate 1 without momentum, what both changed from the same place counts half each."""
    config = tallying(replicas=2, batch_size=2, round_steps=3)
    config = config.model_copy(update={"outer_learning_rate": 1.0})
    store = store_for(Tally(12), config)
    both = [replica_of(Tally(12), identity(12), store, config, index) for index in (0, 1)]
    for index, replica in enumerate(both):
        report = replica.run(Token(FENCE, index, 1), 3)
        assert report.staleness == {0: 3}
    assert store.fetch().vector.tolist() == [-0.5] * 12


def test_the_decay_of_a_rate_goes_by_the_steps_of_all_replicas() -> None:
    settings: dict[str, Any] = {"learning_rate_decay": 0.5, "replicas": 3, "passes": 2}
    by_rounds = Schedule.of(RunConfig(round_steps=4, **settings), 10)
    assert [by_rounds.share(step) for step in (0, 1, 4)] == [1.0, 1 / 2.5, 1 / 7]
    assert Schedule.of(RunConfig(**settings), 10).share(4) == 1.0


class Slow(Tally):
    """Another replica's push arrives while each gradient is computed."""

    def __init__(self, store: MemoryParameterStore, n_examples: int) -> None:
        super().__init__(n_examples)
        object.__setattr__(self, "store", store)
        object.__setattr__(self, "sequences", itertools.count(1))

    def loss_and_gradient(
        self, parameters: Vector, features: Features, targets: Targets, gradient: Vector
    ) -> float:
        theirs = np.zeros(self.n_examples)
        self.store.push(Token(FENCE, 1, 1), next(self.sequences), theirs)  # type: ignore[attr-defined]
        return super().loss_and_gradient(parameters, features, targets, gradient)


def test_the_staleness_of_a_round_is_in_pushes_of_others_since_it_began() -> None:
    config = tallying(replicas=2, batch_size=1, round_steps=3)
    store = store_for(Tally(8), config)
    report = replica_of(Slow(store, 8), identity(8), store, config).run(Token(FENCE, 0, 1), 6)
    assert report.staleness == {3: 2 * store.layout.n_shards}
