"""Sandblaster on fleets whose throughput is known by arithmetic."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from distbelief.coordinator.planning.calibration import Calibration
from distbelief.coordinator.planning.simulation.fleet import Network, Trouble
from distbelief.coordinator.planning.simulation.sandblaster import simulate
from tests.unit.coordinator.planning.synthetic import calibration, cost, fleet

PORTION_S = 1e-2


def with_costs(known: Calibration, **costs: Any) -> Calibration:
    assert known.sandblaster is not None
    return replace(known, sandblaster=replace(known.sandblaster, **costs))


@pytest.mark.parametrize("replicas", [1, 4, 16])
def test_portions_are_divided_among_the_workers(replicas: int) -> None:
    outcome = simulate(calibration(portions=64), fleet(replicas), seed=0)
    assert outcome.rate == pytest.approx(replicas / (64 * PORTION_S), rel=0.01)
    assert outcome.limit == "computing"


def test_more_workers_than_portions_are_of_no_use() -> None:
    outcome = simulate(calibration(portions=64), fleet(1000), seed=0)
    assert outcome.rate == pytest.approx(1 / PORTION_S, rel=0.01)
    assert outcome.limit == "portions"


def test_the_coordinator_limits_how_many_portions_there_are_in_a_second() -> None:
    known = with_costs(calibration(portions=256), coordinator_s=2e-3)
    outcome = simulate(known, fleet(64), seed=0)
    assert outcome.rate == pytest.approx(1 / (256 * 2e-3), rel=0.05)
    assert outcome.limit == "coordinator"


def test_the_serial_part_between_evaluations_is_amdahls() -> None:
    known = with_costs(calibration(portions=64), vectors_s=0.1)
    outcome = simulate(known, fleet(64), seed=0)
    assert outcome.rate == pytest.approx(1 / (PORTION_S + 0.1), rel=0.02)
    assert outcome.limit == "between"


def test_adding_gradients_saturates_the_links_of_the_servers() -> None:
    network = Network(1e12, 1e12, 1e7, 0.0)
    known = calibration(portions=64, exchange=cost(up=1e6))
    outcome = simulate(known, fleet(8, network=network), seed=0)
    assert outcome.rate == pytest.approx(1e7 / (64 + 8) / 1e6, rel=0.05)
    assert outcome.limit == "server links"


def test_backups_end_a_batch_that_a_straggler_holds_up() -> None:
    known = calibration(portions=32, portion_s=0.1)
    slow = fleet(16, trouble=Trouble(share=0.06, factor=1000.0))
    outcome = simulate(known, slow, seed=2)
    assert outcome.rate > 1 / 2.0  # a portion of a straggler alone takes 100 s


def test_the_same_seed_gives_the_same_simulation() -> None:
    known = calibration(portions=64, exchange=cost(1e-3, 1e-3, 1e4, 1e4))
    made = fleet(7, servers=2, network=Network(1e8, 1e8, 1e8, 1e-4))
    assert simulate(known, made, seed=5) == simulate(known, made, seed=5)
