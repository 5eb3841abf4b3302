"""How many steps lie between exchanges where that is ``auto``: the choice, and its bounds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distbelief.app.errors import ConfigError
from distbelief.app.settings.config import RunConfig, configure
from distbelief.app.settings.downpour import Interval
from distbelief.coordinator.downpour.intervals import (
    LONGEST,
    MOST_BUSY,
    MeasuredCosts,
    best_interval,
    longest_interval,
)
from distbelief.coordinator.downpour.units import UnitPlan
from distbelief.coordinator.problem.problem import prepare

SECONDS = st.floats(1e-6, 10)
LONG = st.integers(1, 64)
REPLICAS = st.integers(1, 100)
COSTS = st.builds(MeasuredCosts, SECONDS, SECONDS)


@given(COSTS, LONG, REPLICAS, st.floats(1, 1000))
def test_a_dearer_exchange_never_gives_a_shorter_interval(
    costs: MeasuredCosts, most: int, replicas: int, dearer: float
) -> None:
    more = MeasuredCosts(costs.step_s, costs.exchange_s * dearer)
    assert best_interval(more, most, replicas) >= best_interval(costs, most, replicas)


@given(COSTS, LONG, REPLICAS, st.floats(1, 1000))
def test_a_dearer_step_never_gives_a_longer_interval(
    costs: MeasuredCosts, most: int, replicas: int, dearer: float
) -> None:
    more = MeasuredCosts(costs.step_s * dearer, costs.exchange_s)
    assert best_interval(more, most, replicas) <= best_interval(costs, most, replicas)


@given(COSTS, LONG, REPLICAS)
def test_the_interval_is_the_shortest_that_leaves_the_servers_half_of_their_time(
    costs: MeasuredCosts, most: int, replicas: int
) -> None:
    def busy(steps: int) -> float:
        return replicas * costs.exchange_s / (steps * costs.step_s)

    chosen = best_interval(costs, most, replicas)
    assert 1 <= chosen <= most
    assert chosen == 1 or busy(chosen // 2) > MOST_BUSY * (1 - 1e-9)
    assert 2 * chosen > most or busy(chosen) <= MOST_BUSY * (1 + 1e-9)


@pytest.mark.parametrize(
    ("step_s", "exchange_s", "expected"),
    [(0.1, 0.001, 1), (0.004, 0.001, 1), (0.002, 0.001, 2), (0.001, 0.001, 4), (1e-5, 0.1, 4)],
)
def test_two_replicas_exchange_as_often_as_the_servers_can_take(
    step_s: float, exchange_s: float, expected: int
) -> None:
    assert best_interval(MeasuredCosts(step_s, exchange_s), 4, 2) == expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"replicas": 1}, 4),
        ({"replicas": 2}, 4),
        ({"replicas": 3}, 3),
        ({"replicas": 4}, 2),
        ({"replicas": 8}, 1),
        ({"replicas": 2, "optimizer": "sgd"}, 4),
        ({"replicas": 1, "optimizer": "ftrl"}, 2),
        ({"replicas": 2, "optimizer": "adam"}, 1),
        ({"replicas": 2, "max_staleness": 8}, 1),
        ({"replicas": 2, "model": "torch"}, 1),
        ({"replicas": 2, "model": "mine.models:Mine"}, 1),
    ],
)
def test_the_longest_interval_is_what_the_loss_bears(
    settings: dict[str, Any], expected: int
) -> None:
    config = RunConfig(**settings)
    assert longest_interval(config, tables=False) == expected
    assert longest_interval(config, tables=True) == 1


def test_longest_intervals_are_of_rules_that_there_are() -> None:
    for optimizer in LONGEST:
        assert RunConfig(optimizer=optimizer).optimizer == optimizer


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ({}, (7, 7)),
        ({"n_push": "auto", "n_fetch": "auto"}, (7, 7)),
        ({"n_push": 3}, (3, 3)),
        ({"n_fetch": "5"}, (5, 5)),
        ({"n_push": 2, "n_fetch": 9}, (2, 9)),
    ],
)
def test_what_is_given_stays_and_is_taken_over_by_the_other(
    given_: dict[str, Interval], expected: tuple[int, int]
) -> None:
    config = configure(given_)[0].with_interval(7)
    assert (config.push_interval, config.fetch_interval) == expected
    assert RunConfig.model_validate_json(config.model_dump_json()) == config


def test_a_problem_has_another_plan_when_its_interval_is_chosen() -> None:
    settings = {"data": "synthetic:softmax", "model": "softmax", "replicas": 2, "passes": 2}
    problem = prepare(RunConfig(**settings, unit_steps=3), 1)
    chosen = problem.with_interval(4)
    assert chosen.config.n_push == chosen.config.n_fetch == 4
    plan = UnitPlan.of(chosen)
    assert plan.total_steps == UnitPlan.of(problem).total_steps
    assert [unit.stop for unit in plan.take()] == [4, 4]


@pytest.mark.parametrize("value", [0, "many", 2.5, True])
def test_another_interval_is_refused_with_what_is_allowed(value: object) -> None:
    with pytest.raises(ConfigError, match=r"n_push = .* is not allowed: .*"):
        configure({"n_push": value})
    if value is not True:
        with pytest.raises(ConfigError, match="or 'auto'"):
            configure({"n_push": value})
