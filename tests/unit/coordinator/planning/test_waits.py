"""Waits that make a simulation as fast as what was seen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from distbelief.coordinator.planning.assumptions import Assumptions
from distbelief.coordinator.planning.calibration import Calibration, SeenRate
from distbelief.coordinator.planning.costs import Crowd, Waits
from distbelief.coordinator.planning.forecast import Forecaster
from distbelief.coordinator.planning.waits import with_waits
from tests.unit.coordinator.planning.synthetic import calibration, cost

#: Faster than its servers without any wait: 1,000 steps a second, or nearly so.
KNOWN = calibration(step_s=1e-3, exchange=cost(client_s=1e-4, server_s=1e-4))


def seen(algorithm: str, rate: float, known: Calibration = KNOWN) -> Calibration:
    return replace(known, checks=(SeenRate(algorithm, 1, rate),))


@pytest.mark.parametrize(
    ("algorithm", "rate"), [("downpour", 400.0), ("sandblaster", 0.5), ("sandblaster", 1.2)]
)
def test_the_wait_makes_the_simulation_as_fast_as_what_was_seen(
    algorithm: str, rate: float
) -> None:
    found = with_waits(seen(algorithm, rate), algorithm)
    assert Forecaster(found, Assumptions()).as_calibrated(found.checks[0]) == pytest.approx(
        rate, rel=0.02
    )
    assert found.checks[0].fitted


def test_a_wait_that_was_there_is_found_again() -> None:
    assert KNOWN.downpour is not None
    waiting = replace(KNOWN, downpour=replace(KNOWN.downpour, waits=Waits(2.5e-3, 2.5e-3)))
    rate = Forecaster(waiting, Assumptions()).as_calibrated(SeenRate("downpour", 1, 1.0))
    found = with_waits(seen("downpour", rate), "downpour")
    assert found.downpour is not None
    assert found.downpour.waits.idle_s == pytest.approx(2.5e-3, rel=0.02)


@pytest.mark.parametrize("algorithm", ["downpour", "sandblaster"])
def test_a_fleet_that_was_faster_than_its_simulation_stays_a_check_of_it(algorithm: str) -> None:
    known = seen(algorithm, 1e6)
    assert with_waits(known, algorithm) == known


def test_what_several_processes_did_tells_the_wait_where_all_cores_are_busy() -> None:
    both = (SeenRate("downpour", 1, 500.0), SeenRate("downpour", 2, 700.0))
    found = with_waits(replace(KNOWN, checks=both), "downpour")
    forecaster = Forecaster(found, Assumptions())
    assert [each.fitted for each in found.checks] == [True, True]
    for each in found.checks:
        assert forecaster.as_calibrated(each) == pytest.approx(each.measured, rel=0.02)
    assert found.downpour is not None
    assert found.downpour.waits.busy_s > found.downpour.waits.idle_s > 0


def test_what_a_crowd_did_tells_how_much_longer_its_threads_wait() -> None:
    rates = {1: 500.0, 2: 960.0, 8: 700.0}
    checks = tuple(SeenRate("downpour", count, rate) for count, rate in rates.items())
    assert KNOWN.downpour is not None
    costs = replace(KNOWN.downpour, crowds=(Crowd(4.0, 1.2),))
    machines = replace(KNOWN.machines, embedded=True)
    found = with_waits(replace(KNOWN, checks=checks, downpour=costs, machines=machines), "downpour")
    crowd = found.checks[-1]
    assert crowd.fitted
    assert Forecaster(found, Assumptions()).as_calibrated(crowd) == pytest.approx(700, rel=0.02)
    assert found.crowd("downpour", 4.0).wait_s > 0
