"""Downpour on fleets whose throughput is known by arithmetic."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distbelief.coordinator.planning.calibration import Calibration
from distbelief.coordinator.planning.simulation.downpour import simulate
from distbelief.coordinator.planning.simulation.fleet import Fleet, Network, Trouble
from distbelief.coordinator.planning.simulation.outcome import FleetOutcome
from distbelief.coordinator.planning.simulation.replica import Intervals
from distbelief.coordinator.planning.simulation.slowest import Slowest
from tests.unit.coordinator.planning.synthetic import ENDLESS, calibration, cost, fleet

EACH = Intervals(1, 1)


def found(
    known: Calibration, made: Fleet, intervals: Intervals = EACH, steps: int = 3000
) -> FleetOutcome:
    return simulate(known, made, intervals, seed=0, steps=steps)


def test_without_servers_to_wait_for_replicas_are_as_fast_as_they_compute() -> None:
    outcome = found(calibration(step_s=2e-3), fleet(replicas=8))
    assert outcome.rate == pytest.approx(8 / 2e-3, rel=0.01)
    assert outcome.limit == "computing"


def test_one_server_thread_limits_any_number_of_replicas() -> None:
    outcome = found(calibration(exchange=cost(server_s=5e-4)), fleet(replicas=50))
    assert outcome.rate == pytest.approx(1 / 5e-4, rel=0.01)
    assert outcome.limit == "servers"


def test_servers_share_what_one_of_them_cannot_do() -> None:
    outcome = found(calibration(exchange=cost(server_s=5e-4)), fleet(replicas=50, servers=4))
    assert outcome.rate == pytest.approx(4 / 5e-4, rel=0.05)


def test_a_link_carries_as_many_bytes_as_it_can_and_no_more() -> None:
    network = Network(up=1e7, down=1e12, server=1e12, latency_s=0.0)
    made = fleet(replicas=8, network=network, processes=2)
    outcome = found(calibration(exchange=cost(up=8e4)), made)
    hosts, bytes_each = 4, 8e4
    assert outcome.rate == pytest.approx(hosts * 1e7 / bytes_each, rel=0.03)
    assert outcome.limit == "worker links"
    assert outcome.bytes_each == pytest.approx(bytes_each, rel=0.02)


def test_the_way_back_can_be_the_narrow_one() -> None:
    network = Network(up=1e12, down=1e7, server=1e12, latency_s=0.0)
    outcome = found(calibration(exchange=cost(down=8e4)), fleet(8, network=network))
    assert outcome.rate == pytest.approx(4 * 1e7 / 8e4, rel=0.03)


def test_the_links_of_servers_are_shared_by_all_workers() -> None:
    network = Network(up=1e12, down=1e12, server=1e7, latency_s=0.0)
    outcome = found(calibration(exchange=cost(up=8e4)), fleet(8, servers=2, network=network))
    assert outcome.rate == pytest.approx(2 * 1e7 / 8e4, rel=0.05)
    assert outcome.limit == "server links"


def test_an_exchange_is_hidden_behind_computing_only_with_overlap() -> None:
    network = replace(ENDLESS, latency_s=2e-4)
    slow = cost(client_s=1e-4, server_s=2e-4)
    overlapped = found(calibration(exchange=slow), fleet(network=network))
    in_turns = found(calibration(exchange=slow, overlap=False), fleet(network=network))
    assert overlapped.rate == pytest.approx(1000, rel=0.01)
    assert in_turns.rate == pytest.approx(1 / (1e-3 + 1e-4 + 2e-4 + 2 * 2e-4), rel=0.01)


def test_a_replica_waits_for_an_exchange_that_is_longer_than_its_step() -> None:
    outcome = found(calibration(), fleet(network=replace(ENDLESS, latency_s=2e-3)))
    assert outcome.rate == pytest.approx(1 / 4e-3, rel=0.01)
    assert outcome.limit == "exchanges"


def test_pushes_at_longer_intervals_relieve_a_server() -> None:
    known = calibration(exchange=cost(server_s=5e-4))
    outcome = found(known, fleet(replicas=50), Intervals(4, 4), steps=12_000)
    assert outcome.rate == pytest.approx(4 / 5e-4, rel=0.02)


def test_fetches_apart_from_pushes_cost_a_server_both() -> None:
    known = calibration(exchange=cost(server_s=5e-4))
    outcome = found(known, fleet(replicas=20), Intervals(1, 2), steps=6000)
    assert outcome.rate == pytest.approx(1 / (5e-4 + 5e-4 / 2), rel=0.05)


def test_on_one_machine_everybody_shares_the_cores() -> None:
    known = calibration(exchange=cost(client_s=2e-4, server_s=3e-4))
    outcome = found(known, fleet(replicas=8, servers=2, network=None, cores=2))
    assert outcome.rate == pytest.approx(2 / 1.5e-3, rel=0.02)
    assert outcome.limit == "cores"
    assert outcome.cpu_s_each == pytest.approx(1.5e-3, rel=0.02)


def test_the_staleness_of_equal_replicas_is_how_many_others_there_are() -> None:
    outcome = found(calibration(exchange=cost(server_s=1e-5)), fleet(replicas=8))
    assert outcome.staleness[0] == pytest.approx(7, abs=1)


def test_the_way_of_units_takes_its_time() -> None:
    known = calibration(unit_length=100, turnaround_s=0.1)
    assert found(known, fleet()).rate == pytest.approx(100 / (0.1 + 0.1), rel=0.05)


@pytest.mark.parametrize(
    ("slots", "overlap", "length", "fetches"),
    [
        (1, True, 10, 1),
        (2, False, 10, 2),
        (1, False, 1, 0),  # a copy that takes no steps needs no state
    ],
)
def test_a_unit_begins_with_the_state_of_the_rule_for_steps_on_the_copy(
    slots: int, overlap: bool, length: int, fetches: int
) -> None:
    round_trip_s, intervals = 0.05, Intervals(length, length)
    far = fleet(network=replace(ENDLESS, latency_s=round_trip_s / 2))

    def unit_s(slots: int) -> float:
        known = calibration(unit_length=length, overlap=overlap, slots=slots)
        return length / found(known, far, intervals, steps=300 * length).rate

    assert unit_s(slots) - unit_s(0) == pytest.approx(fetches * round_trip_s, abs=1e-3)


def test_stragglers_are_slower_by_what_they_are() -> None:
    trouble = Trouble(share=1.0, factor=4.0)
    outcome = found(calibration(), fleet(replicas=8, trouble=trouble))
    assert outcome.rate == pytest.approx(8 / 4e-3, rel=0.01)


def test_processes_that_die_cost_their_leases() -> None:
    trouble = Trouble(lives_s=0.05, lease_s=0.05)
    made = fleet(replicas=20, trouble=trouble)
    rate = found(calibration(unit_length=1), made, steps=8000).rate
    assert rate == pytest.approx(20 / 1e-3 / 2, rel=0.15)  # as long at work as on a lease


def test_a_link_catches_up_after_a_pause_with_what_it_lets_through_at_once() -> None:
    """As a token bucket: of each message so much costs no time, if the pauses are long enough."""
    made = fleet(network=Network(up=1e7, down=1e12, server=1e12, latency_s=0.0, burst=2e4))
    outcome = found(calibration(step_s=1e-5, exchange=cost(up=8e4), overlap=False), made)
    # No pause: it is never ahead by more than at the beginning.
    assert outcome.rate == pytest.approx(1e7 / 8e4, rel=0.02)
    paused = calibration(step_s=1e-2, exchange=cost(up=8e4), overlap=False)
    assert found(paused, made).rate == pytest.approx(1 / (1e-2 + 6e-3), rel=0.02)


def test_answers_come_while_other_servers_still_get_their_part() -> None:
    """Two servers: half of the numbers go up, then half come down while the others go up."""
    network = Network(up=1e7, down=1e7, server=1e12, latency_s=0.0)
    known = calibration(step_s=1e-5, exchange=cost(up=8e4, down=8e4), overlap=False)
    outcome = found(known, fleet(servers=2, network=network))
    assert outcome.rate == pytest.approx(1 / 12e-3, rel=0.02)


@pytest.mark.parametrize("bound", [0, 1, 5])
def test_with_a_bound_on_staleness_nobody_is_faster_than_the_slowest(bound: int) -> None:
    trouble = Trouble(share=0.3, factor=4.0)
    made = fleet(replicas=10, trouble=trouble)
    free = found(calibration(step_s=1e-2), made)
    held = found(calibration(step_s=1e-2, max_staleness=bound), made)
    slowest = 10 / 4e-2
    assert free.rate > 2 * slowest
    assert slowest > held.rate * 0.98
    assert held.rate > 0.5 * slowest  # it is looked for the others now and then, not all the time
    assert held.limit == "slower replicas"


def test_equal_replicas_do_not_wait_for_one_another_within_a_bound() -> None:
    made, bounded = fleet(replicas=8), calibration(step_s=1e-2, max_staleness=2)
    assert found(bounded, made).rate == pytest.approx(800, rel=0.02)


def test_units_end_when_their_seconds_are_over() -> None:
    known = calibration(turnaround_s=0.1, unit_seconds=0.1)
    assert found(known, fleet()).rate == pytest.approx(100 / (0.1 + 0.1), rel=0.05)


@given(st.lists(st.integers(0, 3), max_size=60), st.integers(0, 3))
def test_the_slowest_of_the_others_is_the_least_of_them(made: list[int], replica: int) -> None:
    slowest = Slowest(4)
    for each in made:
        slowest.note(each)
    others = [count for index, count in enumerate(slowest.pushes) if index != replica]
    assert slowest.but(replica) == min(others)
    assert slowest.pushes == [made.count(each) for each in range(4)]


def test_the_same_seed_gives_the_same_simulation() -> None:
    spread = (0.5e-3, 1e-3, 2e-3)
    known = calibration(exchange=cost(1e-5, 1e-4, 1e3, 1e3))
    assert known.downpour is not None
    known = replace(known, downpour=replace(known.downpour, steps=(spread,)))
    made = fleet(replicas=30, servers=3, network=Network(1e8, 1e8, 1e8, 1e-4))
    outcomes = [simulate(known, made, EACH, seed, steps=2000) for seed in (7, 7, 8)]
    assert outcomes[0] == outcomes[1]
    assert outcomes[0].rate != outcomes[2].rate


seconds = st.floats(1e-5, 1e-2)


@settings(deadline=None, max_examples=30)
@given(seconds, seconds, seconds, st.integers(1, 12), st.integers(1, 3))
def test_nothing_is_faster_than_its_slowest_part_allows(
    step_s: float, client_s: float, server_s: float, replicas: int, servers: int
) -> None:
    known = calibration(step_s=step_s, exchange=cost(client_s, server_s))
    made = fleet(replicas, servers, processes=1)
    rate = found(known, made, steps=600).rate
    hottest = float(made.servers.numbers.max())
    bounds = [replicas / step_s, replicas / (client_s + server_s * hottest)]
    bounds.append(1 / (server_s * hottest))
    assert rate <= 1.02 * min(bounds)
    assert rate >= 0.98 * replicas / (step_s + client_s + replicas * server_s)
