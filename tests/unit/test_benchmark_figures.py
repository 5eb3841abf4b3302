"""What the benchmarks make of their measurements."""

from __future__ import annotations

import subprocess
import sys
import time

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contest.figures import divided, in_proportion, medians, ratio, shown, table
from fault_plan import FaultPlan, injected
from untuned.fits import LINEAR, NETWORK, Fit
from untuned.tables import tables
from untuned.verdict import misses


def test_the_median_of_rounds_is_that_of_each_figure() -> None:
    rounds = [{"a": 1.0, "b": 30.0}, {"a": 9.0, "b": 10.0}, {"a": 2.0, "b": 20.0}]
    assert medians(rounds, ["a", "b"]) == {"a": 2.0, "b": 20.0}


@pytest.mark.parametrize(
    ("reached", "expected"),
    [
        ([4.0, 2.0, 3.0], 3.0),
        ([4.0, None, 2.0], 3.0),
        ([4.0, None], None),
        ([None, None, 4.0], None),
        ([], None),
    ],
)
def test_a_target_that_half_of_the_rounds_missed_is_not_reached(
    reached: list[float | None], expected: float | None
) -> None:
    assert medians([{"seconds": each} for each in reached], ["seconds"])["seconds"] == expected


def test_a_ratio_says_how_many_times_ours_a_figure_is() -> None:
    assert ratio(6.0, 2.0) == 3.0


@pytest.mark.parametrize(("figure", "ours"), [(None, 1.0), (1.0, None), (1.0, 0.0)])
def test_there_is_no_ratio_to_what_is_unknown(figure: float | None, ours: float | None) -> None:
    assert ratio(figure, ours) is None


def test_what_is_unknown_is_a_dash() -> None:
    assert [shown(None), shown(float("nan")), shown(1234.5), shown(0.12345)] == [
        *("-", "-", "1.23e+03", "0.123")
    ]


def test_columns_of_a_table_are_aligned_names_left_numbers_right() -> None:
    assert table(["", "ms"], [["Ray", "8.3"], ["ours, Lua", "150"]]) == [
        "            ms",
        "Ray        8.3",
        "ours, Lua  150",
    ]


@given(st.lists(st.integers(1, 10**7), min_size=1, max_size=5), st.floats(1e-6, 1e3))
def test_the_ideal_cost_of_a_number_is_that_of_the_last_point(
    sizes: list[int], last: float
) -> None:
    ideal = in_proportion(sizes, [float("nan")] * (len(sizes) - 1) + [last])
    assert [cost / size for cost, size in zip(ideal, sizes, strict=True)] == pytest.approx(
        [last / sizes[-1]] * len(sizes)
    )


def test_the_ideal_time_of_divided_work_falls_as_long_as_there_are_cores() -> None:
    assert divided([1, 2, 4, 8], [12.0, 9.0, 9.0, 9.0], cores=4) == [12.0, 6.0, 3.0, 3.0]


def fitted(contestant: str, kind: str, score: float, loss: float | None, *said: str) -> list[Fit]:
    ours = contestant == "ours"
    return [
        Fit("iris", False, seed, contestant, kind, ours, score, 0.3, loss, said) for seed in (0, 1)
    ]


@pytest.mark.parametrize(
    ("ours", "missed"),
    [
        (fitted("ours", LINEAR, 0.895, 0.11), []),
        (fitted("ours", LINEAR, 0.88, 0.11), ["score 0.880, the best peer's 0.900"]),
        (fitted("ours", LINEAR, 0.95, 0.13), ["log loss 0.130, the best peer's 0.100"]),
        (fitted("ours", NETWORK, 0.98, 0.02), []),  # the peer of its kind is better, by 0.01
        (fitted("ours", NETWORK, 0.97, 0.02), ["score 0.970, the best peer's 0.990"]),
        (
            fitted("ours", LINEAR, 0.79, 0.1),
            ["score 0.790, the best peer's 0.900", "2 of 2 failed to learn and did not say so"],
        ),
        (fitted("ours", LINEAR, 0.79, 0.1, "learned"), ["score 0.790, the best peer's 0.900"]),
    ],
)
def test_ours_are_held_against_the_best_of_their_kind(ours: list[Fit], missed: list[str]) -> None:
    peers = fitted("a", LINEAR, 0.9, 0.1) + fitted("b", LINEAR, 0.5, None)
    fits = [*peers, *fitted("c", NETWORK, 0.99, 0.02), *ours]
    assert list(misses(fits, scaled=False)) == [f"iris, ours: {each}" for each in missed]
    assert list(misses(fits, scaled=True)) == []
    assert tables(fits, markdown=True)[2].startswith("| iris | 0.900 ± 0.000 | 0.500 ± 0.000 |")


def test_a_fault_plan_stops_a_process_again_and_again_and_lets_it_go_at_the_end() -> None:
    plan, source = (
        FaultPlan("often", stopped_s=0.02, running_s=0.02),
        "import sys; sys.stdin.read()",
    )
    assert plan.slower == 2
    with subprocess.Popen([sys.executable, "-c", source], stdin=subprocess.PIPE) as process:
        victim = psutil.Process(process.pid)
        with injected(plan, [victim]):
            for stopped in (True, False, True):
                deadline = time.monotonic() + 30
                while (victim.status() == psutil.STATUS_STOPPED) is not stopped:
                    assert time.monotonic() < deadline
        assert victim.status() != psutil.STATUS_STOPPED
