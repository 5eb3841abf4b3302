"""Numbers over time fit into few points; speeds are known now and at the start."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distbelief.coordinator.views.figures import sparkline
from distbelief.coordinator.views.series import WINDOW_S, DownsampledSeries, Throughput

numbers = st.lists(st.floats(-1e6, 1e6), max_size=300)


def series(values: list[float], most: int = 8) -> tuple[float, ...]:
    found = DownsampledSeries(most)
    for value in values:
        found.add(value)
    return found.points


@given(numbers)
def test_a_course_is_short_whatever_the_run_is(values: list[float]) -> None:
    assert len(series(values)) <= 8


def test_a_short_course_is_what_it_was() -> None:
    assert series([3.0, 1.0, 2.0]) == (3.0, 1.0, 2.0)


def test_a_long_course_is_made_of_means_in_order() -> None:
    # Eight pairs fill it, pairs of pairs make room, and the last number stands alone.
    assert series([float(i) for i in range(17)]) == (1.5, 5.5, 9.5, 13.5, 16.0)


def test_a_course_leaves_out_what_is_no_number() -> None:
    assert series([1.0, math.nan, math.inf, 2.0]) == (1.0, 2.0)


def driven(rates: list[int], *, warm: int = 0, every_s: float = 0.5) -> Throughput:
    """Each rate of examples per second for a second; the first ``warm`` are a warm start."""
    found, at, examples = Throughput(), 0.0, 0.0
    for number, rate in enumerate(rates):
        for _ in range(int(1 / every_s)):
            at, examples = at + every_s, examples + rate * every_s
            found.note(at, int(examples), examples / 10, warming=number < warm)
    return found


def test_the_speed_is_that_of_the_last_seconds() -> None:
    found = driven([100] * 30 + [20] * 11)
    assert found.now.examples == pytest.approx(20)
    assert found.now.steps == pytest.approx(2)


def test_another_kind_of_work_is_counted_from_when_it_began() -> None:
    found = driven([100] * 20)
    found.begin_again(20.0)
    found.note(22.0, 10, 2.0, warming=False)
    assert found.now.examples == pytest.approx(5)
    assert found.now.steps == pytest.approx(1)


def test_the_first_speed_is_that_of_the_first_seconds_and_stays() -> None:
    found = driven([100] * 11 + [20] * 40)
    assert found.first is not None
    assert found.first.examples == pytest.approx(100, rel=0.1)


def test_a_warm_start_is_not_the_start_of_the_speed() -> None:
    found = driven([10] * 5 + [100] * 12, warm=5)
    assert found.first is not None
    assert found.first.examples == pytest.approx(100, rel=0.1)
    assert driven([10] * 20, warm=20).first is None


def test_a_run_that_stands_still_gets_slower_until_its_speed_is_zero() -> None:
    assert 0 < driven([100] * 20 + [0] * 5).now.examples < 100
    assert driven([100] * 20 + [0] * 11).now.examples == 0


def test_what_a_coordinator_before_did_is_no_speed_of_this_one() -> None:
    found = Throughput()
    found.note(100.0, 50_000, 500, warming=False)
    assert found.now.examples == 0
    found.note(101.0, 50_100, 501, warming=False)
    assert found.now.examples == pytest.approx(100)


def test_work_that_is_made_again_is_no_negative_speed() -> None:
    found = driven([100] * 20)
    found.note(20.5, 0, 0, warming=False)
    assert found.now.examples >= 0
    assert found.now.steps >= 0


def test_speeds_are_noted_once_a_second() -> None:
    assert len(driven([100] * 20, every_s=0.25).points) == 20
    assert WINDOW_S < 20


@pytest.mark.parametrize(
    ("points", "width", "text"),
    [
        ([], 10, ""),
        ([1.0], 10, ""),
        ([1.0, 2.0], 0, ""),
        ([1.0, 1.0, 1.0], 10, "▄▄▄"),
        ([0.0, 7.0], 10, "▁█"),
        (list(range(8)), 8, "▁▂▃▄▅▆▇█"),
        ([0, 1, 2, 3, 4, 5, 6, 7], 4, "▁▃▆█"),
    ],
)
def test_a_sparkline_goes_from_the_least_to_the_most(
    points: list[float], width: int, text: str
) -> None:
    assert sparkline(points, width) == text


def test_a_sparkline_has_characters_for_every_terminal() -> None:
    assert sparkline(list(range(8)), 8, plain=True) == "_.-=+*%#"


def test_a_first_loss_far_above_all_others_does_not_flatten_them() -> None:
    text = sparkline([1e6, *range(19, 0, -1)], 20)
    assert text[:2] == "██"
    assert text[-2:] == "▁▁"
    assert len(set(text)) == 8


def test_a_single_peak_is_still_seen() -> None:
    assert sparkline([0.0] * 9 + [1.0] + [0.0] * 10, 20).count("█") == 1
