"""Pushes in fewer bits: together they bring what was to be pushed, whoever goes on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from distbelief.app.datasets.sources.source import Generated
from distbelief.app.datasets.split.partition import Subset
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import Vector
from distbelief.app.models.linear import SoftmaxRegression
from distbelief.app.optimizers.rules.sgd import SGD
from distbelief.app.settings.config import TURNS, RunConfig
from distbelief.app.settings.downpour import Wire
from distbelief.app.store.contract.parameters import Fetched, Pushed, Token
from distbelief.app.store.memory.parameters import MemoryParameterStore
from distbelief.worker_tasks import staleness, task_clock
from distbelief.worker_tasks.copies import Examples
from distbelief.worker_tasks.replica import Replica

DATA = Generated("synthetic:softmax").load({"examples": 64, "features": 90, "classes": 3})
MODEL = SoftmaxRegression(90, 3)


class Noting(MemoryParameterStore):
    """What replicas wanted to push, and how they did."""

    def __init__(self, config: RunConfig) -> None:
        layout = Layout.plan(MODEL.tensors, n_servers=1, block_numbers=100, n_shards=2)
        super().__init__(layout, SGD(1.0), config.dtype, fence=1)
        self.meant = np.zeros(layout.size)
        self.wires: list[Wire] = []
        self.fetched: list[Wire] = []
        self.largest = 0.0
        self.create(np.zeros(layout.size))

    def push(self, token: Token, sequence: int, gradient: Vector, **more: Any) -> Pushed:
        self.meant += gradient
        self.wires.append(more["wire"])
        self.largest = max(self.largest, float(np.abs(gradient).max()))
        return super().push(token, sequence, gradient, **more)

    def fetch(self, *args: Any, **more: Any) -> Fetched:
        self.fetched.append(more.get("wire", "float32"))
        return super().fetch(*args, **more)

    @property
    def missing(self) -> float:
        """The most by which a number is off from what was meant."""
        return float(np.abs(self.fetch().vector + self.meant).max())


def replica_of(config: RunConfig, store: Noting) -> Replica:
    subset = Subset(np.arange(64), 0, config.n_replicas, config.seed)
    return Replica(MODEL, Examples(DATA, subset), store, config)


def narrow(wire: Wire, **settings: Any) -> RunConfig:
    known = {"batch_size": 4, "n_push": 1, "n_fetch": 1, "replicas": 1, "overlap": False}
    return RunConfig(wire=wire, **known | settings)


@pytest.mark.parametrize("wire", ["bfloat16", "int8"])
@pytest.mark.parametrize("settings", [{}, {"n_push": 3, "n_fetch": 3}, {"round_steps": 4}])
def test_units_bring_all_that_was_to_be_pushed_whoever_takes_them(
    wire: Wire, settings: dict[str, Any]
) -> None:
    steps = {"n_push": 4, "n_fetch": 4} if "round_steps" in settings else {}
    config = narrow(wire, **settings | steps)
    store = Noting(config)
    for stop in (24, 48):  # each unit by somebody else
        replica_of(config, store).run(Token(1, 0, stop), stop)
        assert store.missing < 1e-5 * store.largest
    pushes = 48 // config.push_interval
    assert store.wires == [*[wire] * (pushes // 2 - 1), "float32"] * 2
    assert {each.applied for each in store.counts()} == {pushes}
    assert wire in store.fetched


def test_exact_runs_push_and_fetch_as_ever() -> None:
    store = Noting(narrow("float32"))
    replica_of(narrow("float32"), store).run(Token(1, 0, 1), 8)
    assert {*store.wires, *store.fetched} == {"float32"}


@pytest.mark.parametrize("wire", ["bfloat16", "int8"])
def test_who_dies_takes_the_rounding_of_one_push_with_him(wire: Wire) -> None:
    class Killed(Exception):
        pass

    config = narrow(wire)
    store = Noting(config)

    def check() -> None:
        if len(store.wires) == 9:
            raise Killed

    with pytest.raises(Killed):
        replica_of(config, store).run(Token(1, 0, 1), 24, check)
    share = {"bfloat16": 2**-8, "int8": 1 / 127}[wire]
    assert 0 < store.missing < share * store.largest
    replica_of(config, store).run(Token(1, 0, 2), 24)
    assert 0 < store.missing < share * store.largest
    assert {each.applied for each in store.counts()} == {24}


def test_a_unit_that_ends_by_its_time_ends_with_a_push_in_full_width(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = narrow("int8", unit_seconds=5.0 * TURNS)
    store = Noting(config)
    clock = SimpleNamespace(perf_counter=lambda: float(len(store.wires)))
    monkeypatch.setattr(task_clock, "time", clock)
    report = replica_of(config, store).run(Token(1, 0, 1), 24)
    assert report.reached == len(store.wires) < 24
    assert store.wires == [*["int8"] * (report.reached - 1), "float32"]


def test_a_replica_that_is_held_owes_nothing_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staleness, "PATIENCE_S", 0.01)
    config = narrow("int8", replicas=2, max_staleness=4)
    store = Noting(config)
    report = replica_of(config, store).run(Token(1, 0, 1), 24)
    assert report.reached == len(store.wires) == 5
    assert store.wires[-1] == "float32"
    assert store.missing < 1e-5 * store.largest
