"""When Downpour's loss no longer falls, told from the reports of its units."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distbelief.coordinator.downpour.plateau import Plateau
from distbelief.coordinator.progress.outcome import EndReason
from tests.unit.coordinator.downpour.test_driver import Training, training
from tests.unit.coordinator.downpour.test_units import plan_of
from tests.unit.coordinator.runs.stand_ins import StandInLeader


def after(*means: float, decrease: float = 0.1) -> bool:
    """Whether passes of those mean losses, of ten examples each, end with a plateau."""
    plateau = Plateau(decrease)
    for index, mean in enumerate(means):
        plateau.add(index, 10 * mean, 10)
    return plateau.reached(len(means))


@pytest.mark.parametrize(
    ("means", "reached"),
    [
        ((), False),
        ((1.0,), False),
        ((1.0, 0.5), False),
        ((1.0, 0.91), True),
        ((1.0, 0.5, 0.375), False),
        ((1.0, 0.5, 0.4375), False),
        ((1.0, 0.5, 0.46875), True),
        ((1.0, 1.5), True),  # it rises
        ((1.0, 0.95, 0.5), False),  # only the last pass counts
        ((-1.0, -2.0), False),  # a loss of one's own may be negative
        ((-1.0, -1.05), True),
        ((0.0, 0.0), True),
        ((1.0, math.nan), False),  # which ends a run as diverged
    ],
)
def test_a_pass_that_hardly_lowers_the_loss_of_the_one_before_ends_it(
    means: tuple[float, ...], reached: bool
) -> None:
    assert after(*means) is reached


def test_without_a_share_only_a_loss_that_does_not_fall_at_all_ends_it() -> None:
    assert not after(1.0, 0.999999, decrease=0.0)
    assert after(1.0, 1.0, decrease=0.0)


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 1000), st.integers(1, 9)),
        min_size=1,
        max_size=30,
    ),
    st.randoms(use_true_random=False),
)
def test_in_which_order_units_end_and_who_coordinates_does_not_matter(
    units: list[tuple[int, int, int]], order: random.Random
) -> None:
    first, second, shuffled = Plateau(0.1), Plateau(0.1), list(units)
    order.shuffle(shuffled)
    for index, loss_sum, examples in units:
        first.add(index, loss_sum, examples)
    for index, loss_sum, examples in shuffled:
        document = json.loads(json.dumps(second.to_json()))
        second = Plateau(0.1)
        second.load_state(document)
        second.add(index, loss_sum, examples)
    assert second.to_json() == first.to_json()
    assert [first.reached(whole) for whole in range(6)] == [
        second.reached(whole) for whole in range(6)
    ]


def test_a_pass_whose_losses_died_with_a_coordinator_is_not_judged() -> None:
    plateau = Plateau(0.5)
    plateau.add(0, 10.0, 10)
    plateau.add(2, 10.0, 10)
    plateau.add(2, 0.0, 0)  # a unit that others had made whole
    assert not plateau.reached(3)
    plateau.add(3, 10.0, 10)
    assert plateau.reached(4)


def test_units_of_a_hybrid_end_with_each_pass() -> None:
    plan = plan_of([7, 5], passes=3, unit_steps=100, algorithm="hybrid", evaluate_every=1000)
    stops: dict[int, list[int]] = {0: [], 1: []}
    while units := plan.take():
        for unit in units:
            assert plan.pass_of(unit) == len(stops[unit.subset])
            stops[unit.subset].append(unit.stop)
            plan.finish(unit, unit.stop)
    assert stops == {0: [7, 14, 21], 1: [5, 10, 15]}
    assert plan.whole_passes == 3


def test_all_replicas_have_made_a_pass_before_it_is_judged() -> None:
    plan = plan_of([4, 4], passes=3, unit_steps=100, algorithm="hybrid")
    first, second = plan.take()
    plan.finish(first, first.stop)
    assert plan.whole_passes == 0
    plan.finish(second, second.stop)
    assert plan.whole_passes == 1


def commits(run: Training) -> Sequence[Mapping[str, Any]]:
    """What a training committed."""
    return cast("StandInLeader", run.session.leader).commits


def test_downpour_ends_on_the_plateau_of_a_hybrid_and_not_otherwise() -> None:
    run = training(algorithm="hybrid", passes=40, handover_decrease=0.2)
    assert run.driver.run() is EndReason.PLATEAU
    assert run.driver.passes < 10
    # What it knows is committed with each unit, so that another coordinator judges the same.
    assert len(commits(run)) >= len(run.events("unit"))
    assert all(each["plateau"] for each in commits(run))
    plain = training(passes=10)
    assert plain.driver.run() is EndReason.PASSES
    assert all("plateau" not in each for each in commits(plain))


def test_the_last_pass_ends_downpour_all_the_same() -> None:
    run = training(algorithm="hybrid", passes=2, handover_decrease=0.0)
    assert run.driver.run() is EndReason.PASSES
