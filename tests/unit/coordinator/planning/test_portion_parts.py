"""What iterations cost is divided among the parts of a portion, and none of it counts twice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from distbelief.coordinator.planning.calibration import Calibration
from distbelief.coordinator.planning.portion_parts import (
    Apart,
    IterationCosts,
    PortionParts,
    parts_of,
    totals,
)
from distbelief.coordinator.planning.simulation.sandblaster import simulate
from tests.unit.coordinator.planning.synthetic import NUMBERS, calibration, cost, fleet

PORTIONS = 32
APART = Apart(
    portions=(1e-2,),
    add=cost(client_s=1e-3, server_s=2e-3),
    fetch=cost(client_s=3.2e-3, server_s=3.2e-3),
    size=(1, 1, NUMBERS),
)
SEEN = IterationCosts(
    coordinator_s=3e-3, control_s=1e-3, main_s=2e-3, process_s=1.5e-2, servers_s=0.0832
)


def divided(seen: IterationCosts = SEEN, slowdown: float = 1.0) -> PortionParts:
    return parts_of(APART, seen, PORTIONS, 1, slowdown)


def simulated_cpu_s(parts: PortionParts, slowdown: float) -> float:
    """CPU seconds of an evaluation of one process on two cores."""
    known: Calibration = calibration(portions=PORTIONS)
    assert known.sandblaster is not None
    costs = replace(
        known.sandblaster,
        portions=(parts.portions,),
        add=parts.add,
        fetch=APART.fetch,
        coordinator_s=parts.coordinator_s,
        control_s=parts.control_s,
        main_s=parts.main_s,
        vectors_s=parts.vectors_s,
        process_s=parts.process_s,
    )
    here = fleet(1, network=None, cores=2, slowdown=slowdown)
    return simulate(replace(known, sandblaster=costs), here, seed=0).cpu_s_each


def test_what_is_neither_computing_nor_an_exchange_is_the_processs_own() -> None:
    parts = divided()
    assert parts.portions == APART.portions
    assert parts.process_s == pytest.approx(1.5e-2 - 1e-2 - 1e-3 - 1e-4)
    assert parts.vectors_s == pytest.approx(0.0832 - PORTIONS * 2e-3 - 3.2e-3)


@pytest.mark.parametrize("slowdown", [1.0, 1.2, 1.5])
def test_a_simulation_spends_what_was_spent_though_cores_that_are_busy_are_slower(
    slowdown: float,
) -> None:
    spent = simulated_cpu_s(divided(slowdown=slowdown), slowdown)
    assert spent == pytest.approx(SEEN.total_s(PORTIONS), rel=0.01)


def test_portions_and_sums_that_are_cheaper_in_an_evaluation_than_apart_are_as_cheap() -> None:
    parts = divided(replace(SEEN, process_s=0.9e-2, servers_s=0.0336))
    assert parts.process_s == 0
    assert parts.portions == pytest.approx([0.9e-2 - 1e-3 - 1e-4])
    assert parts.vectors_s == 0
    assert parts.add.server.at(*APART.size) == pytest.approx(1e-3)


def test_where_no_process_tells_what_it_spent_an_empty_unit_does() -> None:
    unknown = replace(SEEN, process_s=None)
    parts = divided(unknown)
    assert parts.process_s is None
    assert parts.portions == APART.portions
    assert totals({2: SEEN, 4: unknown}, PORTIONS) == {2: pytest.approx(PORTIONS * 2.1e-2 + 0.0832)}
