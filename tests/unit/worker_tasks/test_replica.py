"""The replica's loop: every example counts once, whatever is lost or stopped on the way."""

from __future__ import annotations

import contextlib
import copy
import itertools
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.datasets.sources.source import Generated
from distbelief.app.datasets.split.partition import Subset
from distbelief.app.errors import Fenced, ModelMissing, ShardBehind
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec, Vector
from distbelief.app.models.linear import SoftmaxRegression
from distbelief.app.models.model import Features, Model, Targets, Task
from distbelief.app.optimizers.registry import shard_rule
from distbelief.app.settings.config import TURNS, RunConfig
from distbelief.app.settings.sections import ObjectiveSettings
from distbelief.app.store.contract.parameters import Fetched, Pushed, Token
from distbelief.app.store.memory.parameters import MemoryParameterStore
from distbelief.coordinator.downpour.units import UnitPlan
from distbelief.worker_tasks import staleness
from distbelief.worker_tasks.copies import Examples, FlatCopy
from distbelief.worker_tasks.replica import Replica
from distbelief.worker_tasks.unit_report import UnitReport

FENCE = 1
DEADLINE_S = 60.0


@dataclass(frozen=True)
class Tally:
    """A model whose parameters count, downwards, how often each example was trained on.

    With features that are the identity matrix, rate 1 and SGD all numbers are small
    integers, so they are exact in any order of addition.
    """

    n_examples: int
    on_call: Callable[[Vector, Features], None] = lambda parameters, features: None

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec("count", (self.n_examples,)),)

    @property
    def task(self) -> Task:
        return Task.REGRESSION

    def initial(self, rng: np.random.Generator) -> Vector:
        return np.zeros(self.n_examples)

    def loss_and_gradient(
        self, parameters: Vector, features: Features, targets: Targets, gradient: Vector
    ) -> float:
        self.on_call(parameters, features)
        gradient[...] = features.sum(axis=0)
        return float(targets.mean())

    def predict(self, parameters: Vector, features: Features) -> Vector:
        return features @ parameters


def identity(n_examples: int) -> Dataset:
    """Example number i has feature i and target i."""
    features = np.eye(n_examples, dtype=np.float32)
    return Dataset(
        features,
        np.arange(n_examples, dtype=np.float32),
        Schema(features.shape[1]),
        "identity",
        "0",
    )


def tallying(**settings: Any) -> RunConfig:
    """With rounds, what they change is added up: at a rate of 1 for each replica."""
    exact = {"optimizer": "sgd", "learning_rate": 1.0, "n_push": 1, "n_fetch": 1}
    if settings.get("round_steps"):
        added = {"outer_learning_rate": float(settings["replicas"]), "step_weight": 1.0}
        settings |= {"n_push": "auto", "n_fetch": "auto", **added}
    return RunConfig(**exact | {"overlap": False} | settings).with_interval(1)


def store_for(
    model: Model,
    config: RunConfig,
    kind: type[MemoryParameterStore] = MemoryParameterStore,
    n_shards: int = 3,
) -> MemoryParameterStore:
    size = sum(tensor.size for tensor in model.tensors)
    layout = Layout.plan(
        model.tensors, n_servers=1, block_numbers=2, n_shards=min(n_shards, -(-size // 2))
    )
    store = kind(layout, shard_rule(config), fence=FENCE)
    store.create(model.initial(np.random.default_rng(config.seed)))
    return store


def replica_of(
    model: Model, data: Dataset, store: MemoryParameterStore, config: RunConfig, subset: int = 0
) -> Replica:
    part = Subset(np.arange(data.n_examples), subset, config.n_replicas, config.seed)
    return Replica(model, Examples(data, part), store, config)


def counted(store: MemoryParameterStore) -> list[int]:
    """How often each example reached the shards."""
    return [-int(number) for number in store.fetch().vector]


class Stopped(Exception):
    """What a check raises in these tests."""


@dataclass
class Fuse:
    """A check that raises at some of its calls, counted over all runs."""

    at: set[int]
    calls: int = 0

    def __call__(self) -> None:
        self.calls += 1
        if self.calls in self.at:
            raise Stopped


def train_all(replicas: Sequence[Replica], config: RunConfig, check: Callable[[], None]) -> int:
    """Take the plan's units in turn, each again under a new attempt until it is done.

    Returns the pushes that the plan asks for.
    """
    steps = [replica.examples.subset.steps_per_pass(config.batch_size) for replica in replicas]
    plan, attempts = UnitPlan(steps, config), itertools.count(1)
    while not plan.done:
        for unit in plan.take(replicas[0].store.sequences(config.n_replicas)):
            while True:
                token = Token(FENCE, unit.subset, next(attempts))
                try:
                    report = replicas[unit.subset].run(token, unit.stop, check)
                except Stopped:
                    continue
                break
            plan.finish(unit, report.reached)
    return plan.total_pushes


configurations = st.fixed_dictionaries(
    {
        "replicas": st.integers(1, 3),
        "batch_size": st.integers(1, 9),
        "n_fetch": st.integers(1, 5),
        "n_push": st.integers(1, 5),
        "round_steps": st.none() | st.integers(1, 5),
        "passes": st.integers(1, 3),
        "unit_steps": st.integers(1, 7),
        "overlap": st.booleans(),
        "max_staleness": st.none() | st.integers(0, 4),
    }
)


@pytest.fixture(autouse=True, scope="module")
def _impatient() -> Iterator[None]:
    """One replica after another works here: who is too far ahead would wait in vain."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(staleness, "PATIENCE_S", 0.0)
        yield


@given(
    n_examples=st.integers(3, 25),
    settings=configurations,
    stops=st.sets(st.integers(1, 40), max_size=6),
)
def test_every_example_counts_once_a_pass_however_often_the_work_is_stopped(
    n_examples: int, settings: dict[str, Any], stops: set[int]
) -> None:
    config, model, data = tallying(**settings), Tally(n_examples), identity(n_examples)
    store = store_for(model, config)
    replicas = [replica_of(model, data, store, config, r) for r in range(config.n_replicas)]
    planned = train_all(replicas, config, Fuse(stops))
    assert counted(store) == [config.n_passes] * n_examples
    assert [count.applied for count in store.counts()] == [planned] * store.layout.n_shards


@given(
    n_examples=st.integers(3, 25),
    stops=st.sets(st.integers(1, 40), max_size=6),
    intervals=st.lists(st.integers(1, 6), min_size=1, max_size=5),
    overlap=st.booleans(),
)
def test_every_example_counts_once_a_pass_where_units_have_intervals_of_their_own(
    n_examples: int, stops: set[int], intervals: list[int], overlap: bool
) -> None:
    settings = {"replicas": 2, "batch_size": 2, "passes": 2, "unit_steps": 7, "overlap": overlap}
    config, data, check = tallying(**settings), identity(n_examples), Fuse(stops)
    store = store_for(Tally(n_examples), config)
    parts = [Subset(np.arange(n_examples), index, 2, config.seed) for index in range(2)]
    plan = UnitPlan([part.steps_per_pass(2) for part in parts], config)
    attempts, every = itertools.count(1), itertools.cycle(intervals)
    while not plan.done:
        for unit, interval in zip(plan.take(), every):  # noqa: B905  (it goes on for ever)
            told = config.model_copy(update={"n_push": interval, "n_fetch": interval})
            examples = Examples(data, parts[unit.subset])
            replica = Replica(Tally(n_examples), examples, store, told, numbering=1)
            report = None
            while report is None:
                with contextlib.suppress(Stopped):
                    token = Token(FENCE, unit.subset, next(attempts))
                    report = replica.run(token, unit.stop, check, start=unit.start)
            plan.finish(unit, report.reached)
    assert counted(store) == [2] * n_examples
    assert {count.applied for count in store.counts()} == {plan.total_steps}


@given(settings=configurations)
def test_a_stream_pushes_its_steps_divided_by_n_push_rounded_up(settings: dict[str, Any]) -> None:
    config, data = tallying(**settings | {"replicas": 1}), identity(20)
    store = store_for(Tally(20), config)
    replica = replica_of(Tally(20), data, store, config)
    steps = config.n_passes * -(-20 // config.batch_size)
    report = replica.run(Token(FENCE, 0, 1), steps)
    assert report.steps == steps
    assert report.pushes == -(-steps // config.push_interval)
    assert store.announce(Token(FENCE, 0, 2)).sequences.tolist() == [report.pushes] * 3


def test_a_unit_that_the_shards_have_already_takes_no_step() -> None:
    config = tallying(replicas=1, batch_size=2)
    store = store_for(Tally(8), config)
    replica = replica_of(Tally(8), identity(8), store, config)
    replica.run(Token(FENCE, 0, 1), 4)
    assert replica.run(Token(FENCE, 0, 2), 4).steps == 0


def test_a_replica_that_is_too_far_ahead_ends_its_unit_at_a_push() -> None:
    config = tallying(replicas=2, batch_size=1, n_push=3, passes=4, max_staleness=2)
    store = store_for(Tally(12), config)
    ahead, behind = (replica_of(Tally(12), identity(12), store, config, r) for r in (0, 1))
    assert ahead.run(Token(FENCE, 0, 1), 24).reached == 9  # a third push, 2 ahead when begun
    assert ahead.run(Token(FENCE, 0, 2), 24).steps == 0
    assert behind.run(Token(FENCE, 1, 3), 3).reached == 3
    again = ahead.run(Token(FENCE, 0, 4), 24)
    assert (again.reached, again.steps, again.pushes) == (12, 3, 1)
    assert store.sequences(2) == [4, 1]


def test_who_waited_goes_on_from_fresh_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    """The slow replica makes its pushes while the other one waits for it."""
    config = tallying(replicas=2, batch_size=1, max_staleness=0)
    seen: list[list[float]] = []
    model = Tally(4, lambda parameters, features: seen.append(parameters.tolist()))
    store = store_for(model, config)
    slow = -np.array([0, 0, 0, 1.0])

    def nap(seconds: float) -> None:
        store.push(Token(FENCE, 1, 1), store.sequences(2)[1] + 1, slow)

    monkeypatch.setattr(staleness, "PATIENCE_S", DEADLINE_S)
    monkeypatch.setattr(time, "sleep", nap)
    report = replica_of(model, identity(4), store, config).run(Token(FENCE, 0, 1), 2)
    assert report.reached == 2
    assert report.waited_s > 0
    assert [parameters[3] for parameters in seen] == [0.0, 1.0]


def test_who_waits_gives_its_process_back_when_the_time_of_its_unit_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Others' tasks wait for it as for one that computes."""
    monkeypatch.setattr(staleness, "PATIENCE_S", DEADLINE_S)
    config = tallying(replicas=2, batch_size=1, max_staleness=0, unit_seconds=TURNS * 0.1)
    store = store_for(Tally(4), config)
    report = replica_of(Tally(4), identity(4), store, config).run(Token(FENCE, 0, 1), 2)
    assert (report.reached, report.pushes) == (1, 1)
    assert report.waited_s < DEADLINE_S / 2


@pytest.mark.parametrize(("scaled", "moved"), [(False, 1.0), (True, 1 / 3)])
def test_a_stale_push_goes_at_a_rate_divided_by_its_staleness_if_asked(
    scaled: bool, moved: float
) -> None:
    """While each gradient is computed, another stream makes three pushes."""
    config = tallying(replicas=2, batch_size=1, scale_by_staleness=scaled)
    sequences = itertools.count(1)

    def meanwhile(parameters: Vector, features: Features) -> None:
        for _ in range(3):
            store.push(Token(FENCE, 1, 1), next(sequences), np.zeros(4))

    model = Tally(4, meanwhile)
    store = store_for(model, config)
    report = replica_of(model, identity(4), store, config).run(Token(FENCE, 0, 1), 2)
    assert report.staleness == {3: 2 * store.layout.n_shards}
    trained = np.array([True, True, False, False])
    assert store.fetch().vector.tolist() == np.where(trained, -np.float32(moved), 0).tolist()


def test_a_report_sums_examples_and_losses() -> None:
    config = tallying(replicas=1, batch_size=3)
    replica = replica_of(Tally(8), identity(8), store_for(Tally(8), config), config)
    report = replica.run(Token(FENCE, 0, 1), 3)
    assert report.examples == 8
    assert report.loss_sum == pytest.approx(sum(range(8)))


@pytest.mark.parametrize("overlap", [False, True])
def test_the_time_is_counted_for_which_steps_wait_for_exchanges(
    overlap: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pushes take a while, and steps next to nothing."""
    config, pause_s = tallying(replicas=1, batch_size=4, n_push=1, overlap=overlap), 0.02
    store = store_for(Tally(8), config)
    push = store.push

    def slow(*args: Any, **words: Any) -> Pushed:
        time.sleep(pause_s)
        return push(*args, **words)

    monkeypatch.setattr(store, "push", slow)
    report = replica_of(Tally(8), identity(8), store, config).run(Token(FENCE, 0, 1), 4)
    assert report.seconds >= report.exchange_s >= 3 * pause_s
    assert report.waited_s == 0  # that is for slower replicas


def test_a_report_travels_as_json() -> None:
    report = UnitReport(3, 8, 2.5, 0.25, 2, 1, Counter({0: 4, 2: 1}), 17, 0.5, 0.1, 400, 500)
    assert UnitReport.from_json(report.to_json()) == report


class Forgetful(MemoryParameterStore):
    """Loses what one shard took since the second push, once, before the fifth."""

    def push(self, *args: Any, **kwargs: Any) -> Pushed:
        self.pushes = getattr(self, "pushes", 0) + 1
        if self.pushes == 3:
            self.saved = copy.deepcopy(self._shards[1])
        if self.pushes == 5:
            self._shards[1] = self.saved
        return super().push(*args, **kwargs)


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("n_push", [1, 3])
def test_a_shard_that_lost_its_tail_gets_it_again_and_the_others_do_not(
    n_push: int, overlap: bool
) -> None:
    config = tallying(replicas=1, batch_size=2, n_push=n_push, overlap=overlap)
    store = store_for(Tally(12), config, Forgetful)
    replica = replica_of(Tally(12), identity(12), store, config)
    with pytest.raises(ShardBehind, match="shard 1 stands at sequence"):
        replica.run(Token(FENCE, 0, 1), 24)
    replica.run(Token(FENCE, 0, 2), 24)  # of a unit that the coordinator plans then
    assert counted(store) == [4] * 12
    assert {count.applied for count in store.counts()} == {24 // n_push}


@pytest.mark.parametrize("n_push", [1, 3])
def test_a_unit_does_not_begin_on_a_shard_that_lost_what_came_before_it(n_push: int) -> None:
    config = tallying(replicas=1, batch_size=2, n_push=n_push)
    store = store_for(Tally(12), config)
    replica = replica_of(Tally(12), identity(12), store, config)
    replica.run(Token(FENCE, 0, 1), 6)
    older = copy.deepcopy(store._shards[1])
    replica.run(Token(FENCE, 0, 1), 12, start=6)
    store._shards[1] = older
    message = f"shard 1 stands at sequence {6 // n_push}, and had acknowledged {12 // n_push}"
    with pytest.raises(ShardBehind, match=message):
        replica.run(Token(FENCE, 0, 2), 18, start=12)
    assert {count.applied for count in store.counts()} == {6 // n_push, 12 // n_push}


@dataclass
class PlainLoop:
    """One replica and its server in a few lines: SGD, no threads, no shards."""

    model: Model
    data: Dataset
    subset: Subset
    config: RunConfig
    copies: list[Vector] = field(default_factory=list)

    def run(self, steps: int) -> Vector:
        config = self.config
        mask = np.concatenate([np.full(t.size, t.penalised) for t in self.model.tensors])
        server = self.model.initial(np.random.default_rng(0)).astype(np.float32)
        accrued = np.zeros_like(server)
        for step in range(steps):
            if step % config.fetch_interval == 0:
                local = server.copy()
            rows = self.subset.minibatch(step, config.batch_size)
            g = np.empty_like(local)
            self.model.loss_and_gradient(
                local, self.data.features[rows], self.data.targets[rows], g
            )
            g += np.where(mask, np.float32(config.l2), np.float32(0)) * local
            norm = np.sqrt(np.sum(np.square(g.astype(np.float64))))
            if config.clip_norm is not None and norm > config.clip_norm:
                g *= config.clip_norm / norm
            accrued += g
            if config.fetch_interval > 1:
                local = local - np.float32(config.learning_rate or math.nan) * g
            if (step + 1) % config.push_interval == 0 or step + 1 == steps:
                server = self._stepped(server, accrued)
                accrued[...] = 0
        return server

    def _stepped(self, values: Vector, gradient: Vector) -> Vector:
        rate = self.config.learning_rate or math.nan
        stepped: Vector = values.astype(np.float64) - rate * gradient.astype(np.float64)
        return stepped.astype(np.float32)


@pytest.mark.parametrize("clip_norm", [None, 0.3])
@pytest.mark.parametrize("l2", [0.0, 0.05])
@pytest.mark.parametrize(("n_fetch", "n_push"), [(1, 1), (1, 3), (3, 1), (2, 3), (4, 4)])
def test_one_replica_takes_the_steps_of_a_plain_loop(
    n_fetch: int, n_push: int, l2: float, clip_norm: float | None
) -> None:
    config = RunConfig(
        optimizer="sgd",
        learning_rate=0.2,
        overlap=False,
        replicas=1,
        batch_size=7,
        n_fetch=n_fetch,
        n_push=n_push,
        l2=l2,
        clip_norm=clip_norm,
    )
    data = Generated("synthetic:softmax").load({"examples": 50, "features": 4, "classes": 3})
    model = SoftmaxRegression(4, 3)
    store = store_for(model, config)
    replica = replica_of(model, data, store, config)
    replica.run(Token(FENCE, 0, 1), 30)
    expected = PlainLoop(model, data, replica.examples.subset, config).run(30)
    np.testing.assert_allclose(store.fetch().vector, expected, rtol=1e-5, atol=1e-7)
    if clip_norm is None:  # norms are summed in another order there
        assert np.array_equal(store.fetch().vector, expected)


def test_clipping_keeps_the_direction_and_bounds_the_length_of_each_minibatch() -> None:
    config = tallying(replicas=1, batch_size=4, clip_norm=1.0)
    store = store_for(Tally(4), config)
    replica_of(Tally(4), identity(4), store, config).run(Token(FENCE, 0, 1), 1)
    np.testing.assert_allclose(-store.fetch().vector, np.full(4, 0.5))


def test_the_penalty_pulls_weights_and_leaves_biases() -> None:
    config = tallying(replicas=1, batch_size=32, l2=0.5)
    data = Generated("synthetic:softmax").load({"examples": 20, "features": 2, "classes": 2})

    class Still(SoftmaxRegression):
        """No gradient of its own, and no parameter at zero."""

        def initial(self, rng: np.random.Generator) -> Vector:
            return np.ones(6)

        def loss_and_gradient(
            self,
            parameters: Vector,
            features: Features,
            targets: Targets,
            gradient: Vector,
            weights: Any = None,
        ) -> float:
            gradient[...] = 0
            return 0.0

    model = Still(2, 2)
    store = store_for(model, config)
    replica_of(model, data, store, config).run(Token(FENCE, 0, 1), 1)
    assert store.fetch().vector.tolist() == [0.5, 0.5, 0.5, 0.5, 1.0, 1.0]


def test_a_replica_alone_is_never_stale() -> None:
    for overlap in (False, True):
        config = tallying(replicas=1, batch_size=2, n_push=2, overlap=overlap)
        replica = replica_of(Tally(12), identity(12), store_for(Tally(12), config), config)
        report = replica.run(Token(FENCE, 0, 1), 12)
        assert report.staleness == {0: 6 * 3}


def test_staleness_counts_the_pushes_of_others_since_the_fetch() -> None:
    config = tallying(replicas=2, batch_size=1)
    store = store_for(Tally(20), config)
    ours, theirs = (replica_of(Tally(20), identity(20), store, config, r) for r in (0, 1))
    steps = itertools.count(2, 2)

    def two_pushes_of_the_other() -> None:
        theirs.run(Token(FENCE, 1, 1), next(steps))

    # The check comes after the fetch and before the gradient.
    report = ours.run(Token(FENCE, 0, 1), 5, two_pushes_of_the_other)
    assert report.staleness == {2: 5 * 3}


def test_a_push_is_as_stale_as_the_oldest_gradient_in_it() -> None:
    config = tallying(replicas=2, batch_size=1, n_push=2)
    store = store_for(Tally(20), config)
    ours, theirs = (replica_of(Tally(20), identity(20), store, config, r) for r in (0, 1))
    steps = itertools.count(2, 2)

    def one_push_of_the_other() -> None:
        theirs.run(Token(FENCE, 1, 1), next(steps))

    # The copy is fetched before every step; the other pushes before both of a window.
    report = ours.run(Token(FENCE, 0, 1), 6, one_push_of_the_other)
    assert report.staleness == {2: 3 * 3}


@pytest.mark.parametrize("overlap", [False, True])
def test_a_newer_attempt_shuts_the_older_one_out(overlap: bool) -> None:
    config = tallying(replicas=1, batch_size=2, overlap=overlap)
    store = store_for(Tally(12), config)
    replica = replica_of(Tally(12), identity(12), store, config)
    calls = itertools.count(1)

    def take_over() -> None:
        if next(calls) == 4:
            store.announce(Token(FENCE, 0, 2))

    with pytest.raises(Fenced):
        replica.run(Token(FENCE, 0, 1), 12, take_over)
    assert max(count.applied for count in store.counts()) < 6


def test_an_attempt_that_is_too_late_takes_no_step() -> None:
    config = tallying(replicas=1, batch_size=2)
    store = store_for(Tally(12), config)
    store.announce(Token(FENCE, 0, 2))
    with pytest.raises(Fenced):
        replica_of(Tally(12), identity(12), store, config).run(Token(FENCE, 0, 1), 12)
    assert counted(store) == [0] * 12


@pytest.mark.parametrize("overlap", [False, True])
def test_shards_that_forget_the_run_end_the_unit(overlap: bool) -> None:
    config = tallying(replicas=1, batch_size=2, overlap=overlap)
    store = store_for(Tally(12), config)
    calls = itertools.count(1)

    def flush() -> None:
        if next(calls) == 3:
            store.delete()

    with pytest.raises(ModelMissing):
        replica_of(Tally(12), identity(12), store, config).run(Token(FENCE, 0, 1), 12, flush)


class Poisoned(Tally):
    """The gradient of example 0 is not a number."""

    def loss_and_gradient(
        self, parameters: Vector, features: Features, targets: Targets, gradient: Vector
    ) -> float:
        loss = super().loss_and_gradient(parameters, features, targets, gradient)
        if features[:, 0].any() or not np.isfinite(parameters).all():
            gradient[...] = np.nan
        return loss


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("n_fetch", [1, 100])
@pytest.mark.parametrize("optimizer", ["sgd", "adagrad"])
def test_a_refused_push_spoils_nothing_that_comes_after_it(
    optimizer: str, n_fetch: int, overlap: bool
) -> None:
    config = tallying(
        replicas=1, batch_size=1, n_fetch=n_fetch, overlap=overlap, optimizer=optimizer
    )
    store = store_for(Poisoned(10), config)
    report = replica_of(Poisoned(10), identity(10), store, config).run(Token(FENCE, 0, 1), 30)
    assert report.refused == 3
    assert {(count.applied, count.refused) for count in store.counts()} == {(27, 3)}


class Overflowing(Tally):
    """Example 0 makes a finite gradient that no float32 parameter can take twice."""

    def loss_and_gradient(
        self, parameters: Vector, features: Features, targets: Targets, gradient: Vector
    ) -> float:
        loss = super().loss_and_gradient(parameters, features, targets, gradient)
        if features[:, 0].any():
            gradient[0] = 3e38
        return loss


def test_a_copy_that_took_a_refused_step_is_replaced() -> None:
    finite: list[bool] = []
    model = Overflowing(
        10, lambda parameters, _: finite.append(bool(np.isfinite(parameters).all()))
    )
    config = tallying(replicas=1, batch_size=1, n_fetch=100)
    store = store_for(model, config)
    report = replica_of(model, identity(10), store, config).run(Token(FENCE, 0, 1), 30)
    assert report.refused == 2  # the first one still fits
    assert all(finite)


class Flooding(Tally):
    """Example 0 makes a finite gradient whose square no float32 accumulator can hold."""

    def loss_and_gradient(
        self, parameters: Vector, features: Features, targets: Targets, gradient: Vector
    ) -> float:
        loss = super().loss_and_gradient(parameters, features, targets, gradient)
        if features[:, 0].any():
            gradient[...] = 3e38
        return loss


def test_after_a_refused_step_the_copy_goes_on_with_the_state_of_the_shards() -> None:
    config = tallying(replicas=1, batch_size=1, n_fetch=100, optimizer="adagrad")
    same: list[bool] = []
    model = Flooding(
        10, lambda copied, _: same.append(np.allclose(copied, store.fetch().vector, rtol=1e-6))
    )
    store = store_for(model, config)
    report = replica_of(model, identity(10), store, config).run(Token(FENCE, 0, 1), 30)
    assert report.refused == 3
    assert all(same)


@dataclass
class Gauge:
    """How many calls are under way at the same time, at most."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    now: int = 0
    most: int = 0

    def __enter__(self) -> None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.now -= 1


class Gauged(MemoryParameterStore):
    """Counts the exchanges that are under way together."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.pushing = Gauge()
        self.fetching = Gauge()

    def push(self, *args: Any, **kwargs: Any) -> Pushed:
        with self.pushing:
            return super().push(*args, **kwargs)

    def fetch(self, *args: Any, **kwargs: Any) -> Fetched:
        with self.fetching:
            return super().fetch(*args, **kwargs)


OPTIMIZERS = get_args(ObjectiveSettings.model_fields["optimizer"].annotation)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_copy_of_a_lone_replica_goes_where_the_shards_go(optimizer: str) -> None:
    """So it trains the same whether it fetches before each step or never again.

    FTRL's z is worked out anew from the parameters at each fetch, hence to rounding only.
    """
    data = Generated("synthetic:softmax").load({"examples": 64, "features": 5, "classes": 3})
    model, trained = SoftmaxRegression(5, 3), list[Vector]()
    for n_fetch in (1, 2, 64):
        config = RunConfig(
            optimizer=optimizer, replicas=1, batch_size=4, n_push=1, n_fetch=n_fetch, overlap=False,
            learning_rate=0.05, ftrl_l1=0.3,
            learning_rate_decay=0.0 if optimizer == "ftrl" else 0.1,
        )  # fmt: skip
        store = store_for(model, config)
        replica_of(model, data, store, config).run(Token(FENCE, 0, 1), 48)
        trained.append(store.fetch().vector)
    assert np.abs(trained[0]).max() > 0.1
    for other in trained[1:]:
        np.testing.assert_allclose(other, trained[0], rtol=0, atol=1e-5)


def test_a_local_step_starts_from_what_was_fetched_for_a_rule_whose_slots_say_more() -> None:
    """FTRL's parameters are a closed form of its slots, which are not fetched again."""
    config = tallying(replicas=2, batch_size=1, passes=2, n_fetch=2, optimizer="ftrl")
    seen: list[float] = []

    def meanwhile(parameters: Vector, features: Features) -> None:
        if not seen:
            store.push(Token(FENCE, 1, 1), 1, np.array([0, 0, 0, -2.0]))
        seen.append(float(parameters[3]))

    model = Tally(4, meanwhile)
    store = store_for(model, config)
    replica_of(model, identity(4), store, config).run(Token(FENCE, 0, 1), 4)
    other = float(store.fetch().vector[3])
    assert other > 0.1
    assert seen == pytest.approx([0, 0, other, other])


def test_at_most_one_push_and_one_fetch_are_in_flight() -> None:
    config = tallying(replicas=1, batch_size=1, n_fetch=2, n_push=3, overlap=True)
    store = store_for(Tally(12), config, Gauged)
    assert isinstance(store, Gauged)
    replica_of(Tally(12), identity(12), store, config).run(Token(FENCE, 0, 1), 60)
    assert (store.pushing.most, store.fetching.most) == (1, 1)


class Slow(MemoryParameterStore):
    """A push takes until the next gradient is begun."""

    began = threading.Semaphore(0)
    overlapped: bool = True

    def push(self, *args: Any, **kwargs: Any) -> Pushed:
        self.overlapped &= self.began.acquire(timeout=DEADLINE_S)
        return super().push(*args, **kwargs)


def test_the_next_gradient_is_computed_while_a_push_is_under_way() -> None:
    config = tallying(replicas=1, batch_size=1, n_fetch=5, overlap=True)
    calls: list[int] = []

    def begin(*_: object) -> None:
        if calls:  # the second gradient lets the first push go, and so on
            Slow.began.release()
        calls.append(1)
        if len(calls) == 6:  # no gradient follows the last push
            Slow.began.release()

    model = Tally(6, begin)
    store = store_for(model, config, Slow)
    assert isinstance(store, Slow)
    replica_of(model, identity(6), store, config).run(Token(FENCE, 0, 1), 6)
    assert store.overlapped
    assert counted(store) == [1] * 6


def test_without_overlap_everything_happens_in_the_calling_thread() -> None:
    threads: set[int] = set()

    class Noting(MemoryParameterStore):
        def push(self, *args: Any, **kwargs: Any) -> Pushed:
            threads.add(threading.get_ident())
            return super().push(*args, **kwargs)

    config = tallying(replicas=1, batch_size=1)
    store = store_for(Tally(6), config, Noting)
    replica_of(Tally(6), identity(6), store, config).run(Token(FENCE, 0, 1), 6)
    assert threads == {threading.get_ident()}


def test_the_copy_is_fresh_before_every_step_when_n_fetch_is_one() -> None:
    config = tallying(replicas=1, batch_size=1)
    seen: list[npt.NDArray[Any]] = []
    model = Tally(6, lambda parameters, _: seen.append(parameters.copy()))
    store = store_for(model, config)
    replica_of(model, identity(6), store, config).run(Token(FENCE, 0, 1), 6)
    assert [-int(copied.sum()) for copied in seen] == [0, 1, 2, 3, 4, 5]


class Held(MemoryParameterStore):
    """A push that brings fresh parameters answers when it is let go."""

    let_go = threading.Semaphore(0)

    def push(self, *args: Any, **kwargs: Any) -> Pushed:
        pushed = super().push(*args, **kwargs)
        if kwargs["fetch"]:
            assert self.let_go.acquire(timeout=DEADLINE_S)
        return pushed


def test_steps_taken_while_a_push_is_under_way_outlast_the_parameters_that_it_brings() -> None:
    """Window by window the copy of a lone replica is all of its steps, whenever a reply comes."""
    n_steps, n = 16, 4
    config = tallying(replicas=1, batch_size=1, n_push=n, n_fetch=n, overlap=True)
    seen: list[int] = []

    def look(parameters: Vector, _: Features) -> None:
        seen.append(-int(parameters.sum()))
        if len(seen) % n == 3:  # in the middle of the next window
            Held.let_go.release()

    model = Tally(n_steps, look)
    store = store_for(model, config, Held)
    replica_of(model, identity(n_steps), store, config).run(Token(FENCE, 0, 1), n_steps)
    assert seen == list(range(n_steps))
    assert counted(store) == [1] * n_steps


class Huge(Tally):
    """Twice its gradient is more than a float holds."""

    def loss_and_gradient(
        self, parameters: Vector, features: Features, targets: Targets, gradient: Vector
    ) -> float:
        super().loss_and_gradient(parameters, features, targets, gradient)
        gradient[...] = -2e38
        return 0.0


def test_a_copy_spoilt_by_a_step_of_its_own_is_healed_by_fresh_parameters() -> None:
    settings = {"learning_rate": 2.0, "n_push": 4, "n_fetch": 4, "overlap": True}
    config = tallying(replicas=1, batch_size=1, **settings)
    seen: list[list[float]] = []
    model = Huge(4, lambda parameters, _: seen.append(parameters.tolist()))
    examples = Examples(identity(4), Subset(np.arange(4), 0, 1, 0))
    copied = FlatCopy(model, examples, store_for(model, config), config, 0)
    copied.install(copied.fetch(0, 4))
    copied.expect_fresh()
    copied.compute(0)
    copied.step_locally(0)
    copied.take_accrued()
    copied.install_fresh(np.arange(4, dtype=np.float32))
    copied.compute(1)
    assert seen[1] == [0, 1, 2, 3]


@pytest.mark.parametrize("n_push", [1, 3])
def test_steps_that_are_made_again_have_the_rate_that_they_had(n_push: int) -> None:
    data = Generated("synthetic:softmax").load({"examples": 64, "features": 5, "classes": 3})
    model, trained = SoftmaxRegression(5, 3), list[Vector]()
    config = tallying(
        replicas=1, batch_size=4, passes=3, n_push=n_push, n_fetch=n_push, learning_rate=0.1,
        schedule="cosine", warm_up=0.5,
    )  # fmt: skip
    for at in (set[int](), {5, 17, 30}):
        store, check = store_for(model, config), Fuse(at)
        for attempt in range(1, 5):
            with contextlib.suppress(Stopped):
                replica_of(model, data, store, config).run(Token(FENCE, 0, attempt), 48, check)
        assert store.sequences(1) == [48 // n_push]
        trained.append(store.fetch().vector)
    assert trained[0].tobytes() == trained[1].tobytes()
    constant = store_for(model, config)
    unscheduled = config.model_copy(update={"schedule": None, "warm_up": 0.0})
    replica_of(model, data, constant, unscheduled).run(Token(FENCE, 0, 1), 48)
    assert constant.fetch().vector.tobytes() != trained[0].tobytes()


@pytest.mark.parametrize(("step_s", "reached"), [(0.1, 12), (0.3, 4), (5.0, 2), (0.001, 16)])
def test_a_unit_ends_before_the_push_that_would_be_too_much_for_its_time(
    monkeypatch: pytest.MonkeyPatch, step_s: float, reached: int
) -> None:
    """At least one push it makes, however long that takes: else nothing would go on."""
    now = [100.0]
    clock = SimpleNamespace(perf_counter=lambda: now[0])
    monkeypatch.setattr("distbelief.worker_tasks.task_clock.time", clock)

    def work(parameters: Vector, features: Features) -> None:
        now[0] += step_s

    model = Tally(16, work)
    limit_s = 1.35
    config = tallying(replicas=1, batch_size=1, n_push=2, n_fetch=2, unit_seconds=TURNS * limit_s)
    store = store_for(model, config)
    report = replica_of(model, identity(16), store, config).run(
        Token(FENCE, 0, 1), 16, lambda: None
    )
    assert report.reached == reached
    assert sum(counted(store)) == reached
    assert now[0] - 100.0 <= max(limit_s, 2 * step_s)
