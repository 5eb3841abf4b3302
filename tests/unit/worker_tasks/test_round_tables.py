"""Rounds of a model with tables: each row travels once each way, and its state stays here."""

from __future__ import annotations

import copy
import itertools
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.datasets.examples.sparse import SparseFeatures, relabelled
from distbelief.app.datasets.sources.source import Generated
from distbelief.app.datasets.split.partition import Subset
from distbelief.app.layout.keys import PARAMETERS
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.rows import TableRows
from distbelief.app.layout.tensors import TensorSpec, Vector
from distbelief.app.models.fm import FactorizationMachine
from distbelief.app.models.linear import LogisticRegression
from distbelief.app.models.model import Features, Model, Narrowed, Targets
from distbelief.app.models.parameters import joined
from distbelief.app.optimizers.registry import OPTIMIZERS, build_rule, shard_rule
from distbelief.app.optimizers.rules.adagrad import Adagrad
from distbelief.app.optimizers.schedule import Schedule
from distbelief.app.settings.config import RunConfig
from distbelief.app.store.contract.parameters import Token
from distbelief.app.store.memory.parameters import MemoryParameterStore
from distbelief.worker_tasks.copies import Examples
from distbelief.worker_tasks.replica import Replica
from distbelief.worker_tasks.round_copy import OwnStates
from distbelief.worker_tasks.row_states import RowStates
from distbelief.worker_tasks.table_copy import shares_of
from tests.unit.worker_tasks.test_replica import FENCE, Fuse, Stopped, Tally, replica_of, tallying
from tests.unit.worker_tasks.test_rounds import rounds_of
from tests.unit.worker_tasks.test_table_copy import Counting

CLICKS = Generated("synthetic:clicks").load({"examples": 60, "features": 88, "fields": 4})
LOGISTIC = LogisticRegression(CLICKS.n_features, sparse=True)
FM = FactorizationMachine(CLICKS.n_features, 2, rank=2, sparse=True)


def tabled(
    model: Model,
    config: RunConfig,
    kind: type[MemoryParameterStore] = Counting,
) -> Any:
    """A store whose sparse tensors are tables."""
    layout = Layout.plan(
        model.tensors, n_servers=2, n_shards=2, block_numbers=4, table_numbers=1, seed=config.seed
    )
    store = kind(layout, shard_rule(config), fence=FENCE)
    store.create(model.initial(np.random.default_rng(config.seed)))
    return store


def all_of(store: MemoryParameterStore) -> Vector:
    """Every parameter, as one vector."""
    fetched = store.fetch(rows=[np.arange(table.n_rows) for table in store.layout.tables])
    return joined(store.layout.tensors, fetched.vector, fetched.tables)


class Plain:
    """One replica and its shard in float64, on one vector of which only what is touched moves."""

    def __init__(self, model: Any, data: Dataset, config: RunConfig) -> None:
        self.model = model
        self.data = data
        self.config = config
        self.shares = np.bincount(data.features[:].indices, minlength=data.n_features)

    def touched(self, features: Any) -> npt.NDArray[np.bool_]:
        parts = []
        for tensor in self.model.tensors:
            mask = np.ones(tensor.shape, bool)
            if tensor.sparse:
                mask[...] = False
                mask[np.unique(features.indices)] = True
            parts.append(mask.ravel())
        return np.concatenate(parts)

    def run(self, replica: Replica, steps: int, first: Vector) -> npt.NDArray[np.float64]:
        config, subset = self.config, replica.examples.subset
        schedule = Schedule.of(config, subset.steps_per_pass(config.batch_size))
        rule, outer = build_rule(config), shard_rule(config)
        shard = [first.astype(np.float64)]
        shard += outer.initial_slots(shard[0]).values()
        own = [*rule.initial_slots(shard[0]).values()]
        length, gradient = config.round_steps or 0, np.empty_like(shard[0])
        local, in_round = shard[0].copy(), np.zeros(len(first), bool)
        for step in range(steps):
            rows = subset.minibatch(step, config.batch_size)
            features, targets = self.data.features[rows], self.data.targets[rows]
            self.model.loss_and_gradient(local, features, targets, gradient)
            here = self.touched(features)
            in_round |= here
            moved = rule.paced(schedule.share(step)).step(
                gradient[here], [each[here] for each in (local, *own)], step
            )
            for values, new in zip((local, *own), moved, strict=True):
                values[here] = new
            if (step + 1) % length == 0 or step + 1 == steps:
                at = [each[in_round] for each in shard]
                new_at = outer.step((shard[0] - local)[in_round], at, step // length)
                for values, new in zip(shard, new_at, strict=True):
                    values[in_round] = new
                local = shard[0].copy()
                own = [each.copy() for each in rule.fitting(local, own)]
                in_round[...] = False
        return shard[0]


@pytest.mark.parametrize("outer", ["momentum", "nesterov"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_one_replica_takes_the_rounds_of_a_plain_loop_over_what_is_touched(
    optimizer: str, outer: str
) -> None:
    config = rounds_of(
        5, optimizer=optimizer, learning_rate=0.05, outer_optimizer=outer, outer_momentum=0.5,
        schedule=None if optimizer == "ftrl" else "cosine", passes=4, overlap=True,
    )  # fmt: skip
    model = LOGISTIC if optimizer != "adam" else FM
    store = tabled(model, config)
    first = all_of(store)
    replica = replica_of(model, CLICKS, store, config)
    for stop in (20, 45, 57):
        replica.run(Token(FENCE, 0, 1), stop)
    expected = Plain(model, CLICKS, config).run(replica, 57, first)
    assert {count.applied for count in store.counts()} == {12}
    assert np.abs(expected - first).max() > 0.05
    np.testing.assert_allclose(all_of(store), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("overlap", [False, True])
def test_rows_that_a_round_touches_travel_once_each_way(overlap: bool) -> None:
    config = rounds_of(6, overlap=overlap)
    store = tabled(LOGISTIC, config)
    replica = replica_of(LOGISTIC, CLICKS, store, config)
    replica.run(Token(FENCE, 0, 1), 27)
    subset = replica.examples.subset
    touched = [
        len(np.unique(CLICKS.features[np.concatenate([subset.minibatch(step, 4) for step in
                                                      range(first, min(first + 6, 27))])].indices))
        for first in range(0, 27, 6)
    ]  # fmt: skip
    assert store.fetched == touched
    assert store.pushed == touched


def test_the_penalty_of_rows_is_shared_out_in_rounds_too() -> None:
    """With n steps in one round of plain descent at tiny rates the pulls of both are the same."""
    changed = {}
    for steps in (None, 15):
        words: dict[str, Any] = {"optimizer": "sgd", "l2": 0.5, "learning_rate": 1e-4}
        config = rounds_of(15, **words) if steps else RunConfig(
            n_push=1, n_fetch=1, replicas=1, batch_size=4, overlap=False, **words
        )  # fmt: skip
        store = tabled(LOGISTIC, config)
        rows = np.arange(CLICKS.n_examples)
        ones = np.ones((CLICKS.n_features, 1))
        store.put(PARAMETERS, np.zeros(1), [TableRows(np.arange(len(ones)), ones)])
        shares = shares_of(LOGISTIC, CLICKS, [rows], store.layout)
        examples = Examples(CLICKS, Subset(rows, 0, 1, config.seed), shares)
        Replica(LOGISTIC, examples, store, config).run(Token(FENCE, 0, 1), 15)
        changed[steps] = all_of(store) - 1
    assert np.abs(changed[15]).max() > 1e-4
    np.testing.assert_allclose(changed[15], changed[None], rtol=2e-2, atol=1e-6)


class SparseTally(Tally):
    """Each example counts itself in a row of its own, and all of them in a dense number."""

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        return (
            TensorSpec("count", (self.n_examples, 1), sparse=True, spread=0.0),
            TensorSpec("all", (1,)),
        )

    def initial(self, rng: np.random.Generator) -> Vector:
        return np.zeros(1)

    def narrowed(self, features: Features) -> Narrowed:
        rows, counts, narrow = relabelled(features)
        return Narrowed(type(self)(len(rows), self.on_call), narrow, (rows,), (counts,))

    def loss_and_gradient(
        self, parameters: Vector, features: Features, targets: Targets, gradient: Vector
    ) -> float:
        self.on_call(parameters, features)
        gradient[...] = [*features.sum(axis=0), len(targets)]
        return float(targets.mean())


def sparse_identity(n_examples: int) -> Dataset:
    """Example number i has feature i and target i."""
    ones = np.ones(n_examples, np.float32)
    features = SparseFeatures(np.arange(n_examples + 1), np.arange(n_examples), ones, n_examples)
    targets = np.arange(n_examples, dtype=np.float32)
    return Dataset(features, targets, Schema(n_examples, sparse=True), "identity", "0")


@settings(max_examples=25)
@given(
    length=st.integers(1, 7),
    overlap=st.booleans(),
    stops=st.sets(st.integers(1, 60), max_size=5),
    lost=st.sets(st.integers(0, 8), max_size=3),
)
def test_a_stop_costs_at_most_the_steps_of_a_round_and_no_row_counts_twice(
    length: int, overlap: bool, stops: set[int], lost: set[int]
) -> None:
    """Also where a shard came back as it was before, and its rounds are made again."""
    config = tallying(replicas=1, batch_size=2, round_steps=length, overlap=overlap)
    computed = list[int]()
    model = SparseTally(12, lambda *_: computed.append(1))
    store = tabled(model, config)
    replica, check = replica_of(model, sparse_identity(12), store, config), Fuse(stops)
    older, gone = [copy.deepcopy(store._shards)], 0
    for attempt in itertools.count(1):
        try:
            replica.run(Token(FENCE, 0, attempt), 30, check)
        except Stopped:
            if attempt in lost:  # and the coordinator has found out
                shard = attempt % store.layout.n_shards
                store._shards[shard] = copy.deepcopy(older[attempt // 2][shard])
                gone += 1
            older.append(copy.deepcopy(store._shards))
            continue
        break
    assert [-int(number) for number in all_of(store)] == [5] * 12 + [60]
    assert {count.applied for count in store.counts()} == {math.ceil(30 / length)}
    if not gone:
        assert len(computed) - 30 <= len(stops) * max(length - 1, 0)


class Poisoned(SparseTally):
    """The gradient of example 0 is not a number."""

    def loss_and_gradient(
        self, parameters: Vector, features: Features, targets: Targets, gradient: Vector
    ) -> float:
        loss = super().loss_and_gradient(parameters, features, targets, gradient)
        if 0 in targets:
            gradient[...] = np.nan
        return loss


class Flooding(SparseTally):
    """Example 0 makes finite gradients whose squares no float32 accumulator can hold."""

    def loss_and_gradient(
        self, parameters: Vector, features: Features, targets: Targets, gradient: Vector
    ) -> float:
        loss = super().loss_and_gradient(parameters, features, targets, gradient)
        if 0 in targets:
            gradient[:-1] = 3e38
        return loss


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("optimizer", ["sgd", "adagrad", "ftrl"])
@pytest.mark.parametrize("kind", [Poisoned, Flooding])
def test_a_round_that_is_not_finite_is_refused_and_spoils_none_that_comes_after_it(
    kind: type[SparseTally], optimizer: str, overlap: bool
) -> None:
    """The first step of each pass is the poisoned one: three rounds of six have one."""
    config = rounds_of(5, optimizer=optimizer, batch_size=1, overlap=overlap, learning_rate=1.0)
    model = kind(10)
    store = tabled(model, config)
    report = replica_of(model, sparse_identity(10), store, config).run(Token(FENCE, 0, 1), 30)
    values = all_of(store)
    assert np.isfinite(values).all()
    assert (report.steps, report.pushes) == (30, 6)
    spoilt = 0 if kind is Flooding and optimizer == "sgd" else 3
    assert report.refused >= spoilt
    for count in store.counts():
        assert count.applied + count.refused == 6
    if spoilt:
        assert store.counts()[0].refused == 3  # the dense part, too: a round is one push
        assert values[0] == 0  # which was in those rounds only
        assert np.count_nonzero(values) > 5


def test_the_state_of_rows_goes_on_here_and_begins_anew_where_a_unit_moves_to() -> None:
    config = rounds_of(3, optimizer="adagrad", batch_size=4)
    model = SparseTally(12)
    store, here, there = tabled(model, config), OwnStates(), OwnStates()

    def squares(states: OwnStates, stop: int) -> set[float]:
        replica = replica_of(model, sparse_identity(12), store, config)
        replica.states = states
        replica.run(Token(FENCE, 0, 1), stop)
        (of_table,) = states[0].rows
        (found,) = of_table.beside(np.arange(12), np.zeros((12, 1), np.float32))
        return {round(float(value), 3) for value in found[:, 0]}

    assert squares(here, 3) == {1.1}
    assert squares(here, 6) == {2.1}
    assert squares(there, 9) == {1.1}


@settings(max_examples=25)
@given(st.lists(st.sets(st.integers(0, 5000), max_size=1500), max_size=4))
def test_states_of_rows_are_those_that_were_kept_last(rounds: list[set[int]]) -> None:
    rule = Adagrad(0.1)
    tensor = TensorSpec("rows", (5001, 2), sparse=True)
    tensors = [tensor, TensorSpec("dense", (1,))]
    (table,) = Layout.plan(tensors, n_servers=1, table_numbers=1).tables
    states, expected = RowStates(table, rule, np.dtype("f4")), np.full((5001, 2), 0.1, "f4")
    for number, touched in enumerate(rounds):
        ids = np.array(sorted(touched), np.int64)
        (found,) = states.beside(ids, np.zeros((len(ids), 2), "f4"))
        np.testing.assert_array_equal(found, expected[ids])
        found += number + 1
        states.keep(ids, [found])
        expected[ids] += number + 1
    (found,) = states.beside(np.arange(5001), np.zeros((5001, 2), "f4"))
    np.testing.assert_array_equal(found, expected)
