"""Which way of exchanging is chosen: exact ones first, others where workers would be idle."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distbelief.app.settings.downpour import Wire
from distbelief.coordinator.downpour.links import Link
from distbelief.coordinator.downpour.ways import (
    ENOUGH,
    MOST_IDLE,
    ROUNDS,
    FleetCosts,
    Way,
    best_way,
    exact_way,
    rounds_in,
)

WIRES: tuple[Wire, ...] = ("float32", "bfloat16")
NUMBERS = 203_530


def costs(
    megabits: float | None = None,
    step_s: float = 0.001,
    server_s: float = 0.002,
    replicas: int = 2,
    *,
    overlap: bool = True,
) -> FleetCosts:
    rate = 0.0 if megabits is None else megabits * 1e6 / 8
    link = None if megabits is None else Link(rate, rate, 0.0005)
    by_wire: dict[Wire, float] = dict.fromkeys(WIRES, server_s)
    return FleetCosts(step_s, NUMBERS, replicas, by_wire, link, overlap=overlap)


MEASURED = st.builds(
    costs,
    st.one_of(st.none(), st.floats(1, 1e5)),
    st.floats(1e-5, 1),
    st.floats(1e-5, 1),
    st.integers(1, 64),
    overlap=st.booleans(),
)


@given(MEASURED, st.sampled_from([1, 2, 4]))
def test_the_result_changes_only_where_workers_would_be_idle_for_more_than_a_third(
    known: FleetCosts, longest: int
) -> None:
    exact = exact_way(known, 1, longest, "float32")
    way = best_way(known, exact, WIRES)
    assert exact.steps <= longest
    assert not exact.by_rounds
    assert (way == exact) or known.idle(exact) > MOST_IDLE
    assert known.rate(way) >= known.rate(exact) * (1 - 1e-9)
    others = [Way(steps, wire, by_rounds=True) for steps in ROUNDS for wire in WIRES]
    fastest = max(map(known.rate, others)) * (1 - 1e-9)
    assert way == exact or known.idle(way) <= ENOUGH or known.rate(way) >= fastest


@given(MEASURED)
def test_what_is_given_stays(known: FleetCosts) -> None:
    exact = exact_way(known, 1, 4, "float32")
    assert best_way(known, exact, ["float32"], rounds=()) == exact
    assert best_way(known, exact, ["float32"]).wire == "float32"
    assert not best_way(known, exact, WIRES, rounds=()).by_rounds


@pytest.mark.parametrize(
    ("megabits", "expected"),
    [
        (None, Way(4)),
        (10_000, Way(4)),
        (3_500, Way(4, "bfloat16")),
        (1_000, Way(8, "bfloat16", by_rounds=True)),
        (100, Way(64, "bfloat16", by_rounds=True)),
        (1, Way(128, "bfloat16", by_rounds=True)),
    ],
)
def test_slower_links_are_used_less(megabits: float | None, expected: Way) -> None:
    """Two replicas of a network of 203,530 numbers, whose steps take a millisecond."""
    known = costs(megabits)
    way = best_way(known, exact_way(known, 4, 4, "float32"), WIRES)
    assert way == expected


def test_costs_are_those_of_the_arithmetic() -> None:
    """A second up, a second down; half of it in 16 bits."""
    known = FleetCosts(
        0.1, 1_000_000, 4, {"float32": 0.5, "bfloat16": 0.5}, Link(4e6, 4e6, 0.0), overlap=False
    )
    assert known.exchange_s("float32") == 2.5
    assert known.exchange_s("bfloat16") == 1.5
    assert known.seconds(Way(10)) == 3.5
    assert known.idle(Way(10)) == pytest.approx(2.5 / 3.5)
    assert known.rate(Way(10)) == pytest.approx(4 * 10 / 3.5)
    assert known.bytes_a_step(Way(10)) == 800_000
    assert known.one_process == 10
    # Four replicas at a server that needs a second for each.
    busy = FleetCosts(0.1, 1000, 4, {"float32": 1.0})
    assert busy.seconds(Way(1)) == 4.0
    assert busy.idle(Way(40)) == 0.0


def test_replicas_make_enough_rounds() -> None:
    assert rounds_in(100, 2) == []
    assert rounds_in(500, 2) == [8, 16]
    assert rounds_in(5000, 2) == list(ROUNDS)
    assert rounds_in(500, 8) == [8]


def test_a_way_says_what_it_is() -> None:
    assert str(Way(4)) == "n_push 4"
    assert str(Way(64, "bfloat16", by_rounds=True)) == "rounds of 64 steps, bfloat16 on the wire"
