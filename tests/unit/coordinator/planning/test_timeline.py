"""Queues and shared cores in simulated time, against closed forms."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distbelief.coordinator.planning.costs import Waits
from distbelief.coordinator.planning.simulation.exchanges import OwnHosts, exchange
from distbelief.coordinator.planning.simulation.fleet import Network
from distbelief.coordinator.planning.simulation.timeline import Cores, SerialThread, Timeline
from tests.unit.coordinator.planning.synthetic import NUMBERS, cost, fleet

ARRIVALS = 20_000


def poisson(rate: float) -> list[float]:
    gaps = np.random.default_rng(3).exponential(1 / rate, ARRIVALS)
    return [float(each) for each in np.cumsum(gaps)]


def md1_sojourn_s(rate: float, service_s: float) -> float:
    """Pollaczek and Khinchine, for service that always takes as long."""
    load = rate * service_s
    return service_s + load * service_s / (2 * (1 - load))


def always() -> bool:
    return True


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_a_thread_with_random_arrivals_is_the_queue_of_the_textbook(load: float) -> None:
    timeline, took = Timeline(), list[float]()
    thread = SerialThread(timeline)

    def arrive(at: float) -> None:
        thread.take(1.0, lambda: took.append(timeline.now - at))

    for arrival in poisson(load):
        timeline.at(arrival, partial(arrive, arrival))
    timeline.run(always)
    assert np.mean(took) == pytest.approx(md1_sojourn_s(load, 1.0), rel=0.05)
    assert thread.worked_s == pytest.approx(ARRIVALS)


@pytest.mark.parametrize("load", [0.3, 0.8])
def test_a_server_on_a_host_of_its_own_is_that_queue_too(load: float) -> None:
    timeline, took, made = Timeline(), list[float](), fleet()
    servers = OwnHosts(timeline, made, Network(1e15, 1e15, 1e15, 0.25))
    call = exchange(cost(server_s=1.0), made, NUMBERS, np.random.default_rng(0))

    def arrive(at: float) -> None:
        servers.serve(0, call, lambda: took.append(timeline.now - at))

    for arrival in poisson(load):
        timeline.at(arrival, partial(arrive, arrival))
    timeline.run(always)
    there_and_back_s = 0.5
    expected = there_and_back_s + md1_sojourn_s(load, 1.0)
    assert np.mean(took) == pytest.approx(expected, rel=0.05)
    assert servers.cpu_s() == pytest.approx(ARRIVALS)


def ends(cores: Cores, timeline: Timeline, jobs: list[tuple[float, float]]) -> list[float]:
    found = [0.0] * len(jobs)

    def end(index: int) -> None:
        found[index] = timeline.now

    for index, (at, seconds) in enumerate(jobs):
        timeline.at(at, partial(cores.burn, seconds, partial(end, index)))
    timeline.run(always)
    return found


def test_threads_share_cores_equally() -> None:
    timeline = Timeline()
    # Two cores, three threads: each gets two thirds, until the first has what it wanted.
    assert ends(Cores(timeline, 2), timeline, [(0, 2.0), (0, 4.0), (0, 4.0)]) == pytest.approx(
        [3.0, 5.0, 5.0]
    )


def test_cores_are_slower_together() -> None:
    timeline = Timeline()
    found = ends(Cores(timeline, 2, slowdown=1.5), timeline, [(0, 2.0), (0, 2.0)])
    assert found == pytest.approx([3.0, 3.0])


jobs = st.lists(st.tuples(st.floats(0, 10), st.floats(0.01, 5)), min_size=1, max_size=20)


@settings(deadline=None)
@given(jobs, st.integers(1, 4))
def test_cores_do_all_the_work_that_they_are_given_and_no_more(
    jobs: list[tuple[float, float]], count: int
) -> None:
    timeline = Timeline()
    cores = Cores(timeline, count)
    found = ends(cores, timeline, jobs)
    assert cores.busy_s() == pytest.approx(sum(seconds for _, seconds in jobs))
    assert all(end >= at + seconds - 1e-9 for end, (at, seconds) in zip(found, jobs, strict=True))


def test_events_of_one_time_happen_in_their_order() -> None:
    timeline, seen = Timeline(), list[int]()
    for number in range(5):
        timeline.at(1.0, partial(seen.append, number))
    timeline.run(always)
    assert seen == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("threads", "woken"), [(0, 1.0), (1, 1.0), (2, 3.0)])
def test_a_thread_wakes_up_later_where_all_cores_are_busy(threads: int, woken: float) -> None:
    timeline, at = Timeline(), list[float]()
    cores = Cores(timeline, 2)
    for _ in range(threads):
        cores.burn(10.0, lambda: None)
    cores.wake(Waits(1.0, 3.0), lambda: at.append(timeline.now))
    timeline.run(lambda: not at)
    assert at == [woken]
