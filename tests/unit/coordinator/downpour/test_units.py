"""Driving plans to their end in any order and counting what they handed out."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distbelief.app.errors import ConfigError
from distbelief.app.settings.config import configure
from distbelief.coordinator.downpour.units import PlannedUnit, UnitPlan


def plan_of(steps_per_pass: list[int], **settings: Any) -> UnitPlan:
    config, _ = configure({"replicas": len(steps_per_pass), "n_push": 1, **settings})
    return UnitPlan(steps_per_pass, config)


@st.composite
def plans(draw: st.DrawFn) -> UnitPlan:
    steps = draw(st.lists(st.integers(1, 12), min_size=1, max_size=5))
    passes = draw(st.integers(1, 4))
    return plan_of(
        steps,
        passes=passes,
        unit_steps=draw(st.integers(1, 9)),
        n_push=draw(st.integers(1, 7)),
        warm_start_steps=draw(st.integers(0, steps[0] * passes)),
    )


ORDERS = st.randoms(use_true_random=False)


def driven(plan: UnitPlan, order: random.Random) -> Iterator[tuple[PlannedUnit, int]]:
    """Every unit as it is handed out, with the number then in flight on its stream.

    Between two handings-out one unit in flight finishes, whichever ``order`` picks.
    """
    in_flight: list[PlannedUnit] = []
    while not plan.done:
        for unit in plan.take():
            in_flight.append(unit)
            yield unit, sum(other.subset == unit.subset for other in in_flight)
        unit = in_flight.pop(order.randrange(len(in_flight)))
        plan.finish(unit, unit.stop)
    assert in_flight == []


@given(st.lists(st.integers(1, 12), min_size=2, max_size=4), st.integers(0, 3), st.integers(0))
def test_with_a_bound_nobody_begins_too_far_ahead_and_all_is_done_in_the_end(
    steps: list[int], bound: int, seed: int
) -> None:
    """Units end early at random, as those of replicas that were too far ahead do."""
    order = random.Random(seed)
    plan = plan_of(steps, passes=3, unit_steps=4, max_staleness=bound)
    made, in_flight, taken = [0] * len(steps), list[PlannedUnit](), 0
    while not plan.done:
        unfinished = [n for n, each in zip(made, steps, strict=True) if n < 3 * each]
        for unit in plan.take(made):
            assert unit.start == made[unit.subset]
            assert unit.start - min(unfinished) <= bound
            in_flight.append(unit)
        assert in_flight, "the slowest never waits"
        unit = in_flight.pop(order.randrange(len(in_flight)))
        reached = order.randint(unit.start, unit.stop)
        taken += reached - unit.start
        made[unit.subset] = reached
        plan.finish(unit, reached)
    assert taken == plan.total_steps


def test_what_a_shard_lost_of_units_that_were_done_is_owed_until_it_is_made_again() -> None:
    plan = plan_of([4, 10], n_push=2, passes=1)
    short, long = plan.take()
    plan.finish(short, 4)
    plan.finish(long, 6)
    assert (plan.acknowledged, plan.owes) == ([2, 3], False)
    plan.restart_from([1, 3])
    assert (plan.acknowledged, plan.owes) == ([1, 3], True)
    again, _ = plan.take()
    assert (again.subset, again.start) == (0, 2)
    plan.finish(again, 4)
    assert (plan.acknowledged, plan.owes) == ([2, 3], False)


def test_an_end_that_is_no_whole_push_is_acknowledged_with_the_last_one() -> None:
    plan = plan_of([5], n_push=2, passes=1)
    (unit,) = plan.take()
    plan.finish(unit, 5)
    assert plan.acknowledged == [3]


def test_a_stream_that_has_to_wait_is_noticed() -> None:
    plan = plan_of([10, 10], unit_steps=5, max_staleness=2)
    fast, _ = plan.take([0, 0])
    plan.finish(fast, 3)
    assert plan.take([3, 0]) == []
    assert plan.holding
    assert [unit.start for unit in plan.take([3, 1])] == [3]
    assert not plan.holding


@given(plans(), ORDERS)
def test_every_step_is_handed_out_once_and_in_order(plan: UnitPlan, order: random.Random) -> None:
    steps: dict[int, list[int]] = defaultdict(list)
    for unit, _ in driven(plan, order):
        steps[unit.subset].extend(range(unit.start, unit.stop))
    passes = plan.config.n_passes
    assert steps == {s: list(range(n * passes)) for s, n in enumerate(plan.steps_per_pass)}


@given(plans(), ORDERS)
def test_a_stream_has_one_unit_in_flight_at_most(plan: UnitPlan, order: random.Random) -> None:
    assert all(count == 1 for _, count in driven(plan, order))


@given(plans(), ORDERS)
def test_a_unit_is_at_most_unit_steps_rounded_up_to_whole_pushes(
    plan: UnitPlan, order: random.Random
) -> None:
    longest = plan.config.unit_steps + plan.config.push_interval - 1
    assert all(0 < unit.stop - unit.start <= longest for unit, _ in driven(plan, order))


@given(plans(), ORDERS)
def test_names_of_units_differ(plan: UnitPlan, order: random.Random) -> None:
    names = [unit.name for unit, _ in driven(plan, order)]
    assert len(set(names)) == len(names)


@given(plans())
def test_the_pushes_of_a_plan_are_those_of_its_streams(plan: UnitPlan) -> None:
    passes, n_push = plan.config.n_passes, plan.config.push_interval
    assert plan.total_pushes == sum(-(-n * passes // n_push) for n in plan.steps_per_pass)


@given(plans(), ORDERS)
def test_the_units_push_as_often_as_the_plan_says(plan: UnitPlan, order: random.Random) -> None:
    n_push, pushes = plan.config.push_interval, 0
    for unit, _ in driven(plan, order):
        for step in range(unit.start, unit.stop):
            pushes += (step + 1) % n_push == 0 or step + 1 == unit.stop  # as a replica does
    assert pushes == plan.total_pushes


@given(plans(), ORDERS)
def test_a_warm_start_is_one_stream_alone_for_whole_pushes_and_no_longer(
    plan: UnitPlan, order: random.Random
) -> None:
    n_push, wanted = plan.config.push_interval, plan.config.warm_start_steps
    enough = min(-(-wanted // n_push) * n_push, plan.steps_per_pass[0] * plan.config.n_passes)
    for unit, _ in driven(plan, order):
        if unit.subset != 0:
            assert plan.steps_done == enough
            break


@given(plans(), ORDERS)
def test_progress_grows_from_nothing_to_all(plan: UnitPlan, order: random.Random) -> None:
    seen = [(plan.steps_done, plan.passes_done)]
    for _ in driven(plan, order):
        seen.append((plan.steps_done, plan.passes_done))
    seen.append((plan.steps_done, plan.passes_done))
    assert seen == sorted(seen)
    assert seen[0] == (0, 0.0)
    assert seen[-1] == (plan.total_steps, plan.config.n_passes)


@given(plans(), ORDERS, st.integers(0, 40), st.data())
def test_a_plan_goes_on_from_where_the_shards_stand(
    plan: UnitPlan, order: random.Random, units: int, data: st.DataObject
) -> None:
    """A loss takes it back to any push of each stream; all that is missing is handed out."""
    for number, _ in enumerate(driven(plan, order)):
        if number == units:
            break
    n_push, totals = (
        plan.config.push_interval,
        [s * plan.config.n_passes for s in plan.steps_per_pass],
    )
    stood = [data.draw(st.integers(0, -(-total // n_push))) for total in totals]
    plan.restart_from(stood)
    missing = [
        set(range(min(push * n_push, total), total))
        for push, total in zip(stood, totals, strict=True)
    ]
    assert plan.steps_done == sum(totals) - sum(map(len, missing))
    for unit, in_flight in driven(plan, order):
        assert in_flight == 1
        steps = set(range(unit.start, unit.stop))
        assert steps <= missing[unit.subset]
        missing[unit.subset] -= steps
    assert plan.done
    assert missing == [set()] * len(totals)


def test_streams_do_not_wait_for_one_another_between_passes() -> None:
    plan = plan_of([4, 4], passes=3, unit_steps=4)
    fast, _ = plan.take()
    for _ in range(2):
        plan.finish(fast, fast.stop)
        (fast,) = plan.take()
    assert fast == PlannedUnit(subset=0, start=8, stop=12)


def test_a_warm_start_of_more_steps_than_there_are_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"warm_start_steps = 13 .*at most 12 are possible"):
        plan_of([4, 4], passes=3, warm_start_steps=13)
