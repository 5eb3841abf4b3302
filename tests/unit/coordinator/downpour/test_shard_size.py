"""Shards on servers that others use are as small as the run's ``call_ms`` asks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from distbelief.app.client.engine import Engine
from distbelief.app.layout.layout import MAX_SHARD_NUMBERS, Layout
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.settings.config import RunConfig
from distbelief.coordinator.downpour import shard_size
from distbelief.coordinator.downpour.shard_size import fit_shards, shard_numbers
from distbelief.coordinator.problem.problem import Problem, prepare

SIZE = 600_000
COST_NS = 300.0


class OneServer:
    """Stands for the parameter servers: one, and what computes there."""

    def __init__(self, engine: Engine) -> None:
        self.engines = (engine,)

    def only(self, index: int) -> OneServer:
        return self


@pytest.fixture(autouse=True)
def _known_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pushes take as long as they are large, and a round trip."""
    monkeypatch.setattr(
        shard_size, "measure_push_s", lambda config, servers, n: 0.001 + n * COST_NS * 1e-9
    )


def problem(size: int = SIZE, **settings: Any) -> Problem:
    config = RunConfig(**settings)
    layout = Layout.plan([TensorSpec("w", (size,))], n_servers=1, n_shards=config.shards)
    unused = SimpleNamespace()
    parts = (config, unused, unused, layout, 1, 1, unused, unused)
    return Problem(*cast("Any", parts))


def fitted(given: Problem, engine: Engine = Engine.LUA) -> Layout:
    return fit_shards(given, cast("Any", OneServer(engine))).layout


def largest(layout: Layout) -> int:
    part = layout.shard_slice(0)
    return int(part.stop - part.start)


@pytest.mark.parametrize(("call_ms", "replicas"), [(10.0, 1), (10.0, 2), (20.0, 4), (50.0, 4)])
def test_pushes_of_all_replicas_together_keep_to_the_budget(call_ms: float, replicas: int) -> None:
    layout = fitted(problem(call_ms=call_ms, replicas=replicas))
    assert largest(layout) * COST_NS * replicas <= call_ms * 1e6
    assert largest(layout) + 4096 > min(MAX_SHARD_NUMBERS, call_ms * 1e6 / COST_NS / replicas) / 2
    assert layout.size == SIZE


def test_a_shard_has_a_block_at_least() -> None:
    assert largest(fitted(problem(call_ms=1.0, replicas=50))) == 4096


@pytest.mark.parametrize(
    ("given", "engine"),
    [
        (problem(), Engine.NATIVE),
        (problem(shards=3), Engine.LUA),
        (problem(size=4096), Engine.LUA),
        (problem(call_ms=1000.0), Engine.LUA),
    ],
    ids=["native", "shards that were asked for", "small", "a budget for all"],
)
def test_all_else_stays_as_it_was(given: Problem, engine: Engine) -> None:
    assert fitted(given, engine) == given.layout


def test_no_budget_makes_shards_larger_than_they_may_be() -> None:
    assert shard_numbers(1e6, 1, COST_NS) == MAX_SHARD_NUMBERS


def test_sandblaster_needs_no_push_to_know_what_a_sum_costs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shard_size, "measure_push_s", None)
    layout = fitted(problem(algorithm="sandblaster"))
    assert 4096 < largest(layout) < MAX_SHARD_NUMBERS / 2


@pytest.mark.parametrize(
    ("call_ms", "least", "most"), [(100.0, 4, 4), (10.0, 5, 30), (1.0, 64, 64)]
)
def test_tables_lie_in_as_many_shards_as_the_rows_of_a_push_ask_for(
    call_ms: float, least: int, most: int
) -> None:
    clicks = RunConfig(
        data="synthetic:clicks",
        data_options={"examples": 5000},
        model="fm",
        table_numbers=1,
        batch_size=2000,
        n_push=1,
        n_fetch=1,
        call_ms=call_ms,
    )
    assert least <= fitted(prepare(clicks, 1)).n_table_shards <= most
    assert fitted(prepare(clicks, 1), Engine.NATIVE).n_table_shards == 4
