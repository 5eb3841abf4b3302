"""Runs beside one another: whole ids, the scores that count, and an order that is asked for."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from typing import Any

import pytest
from rich.console import Console

from distbelief.app.errors import ExitCode
from distbelief.coordinator.report.hindsight import Hindsight
from distbelief.coordinator.runs.ids import began, new_run_id
from distbelief.coordinator.views.columns import tabulate
from distbelief.coordinator.views.facts import describe_run
from distbelief.coordinator.views.overview import Overview
from distbelief.coordinator.views.runs import SORTS, tabulate_runs

FIRST, SECOND, THIRD = "20261122-180858-050a", "20261123-070213-93a4-wide", "20261124-000000-aaaa"


def run(id_: str, metric: str = "accuracy", score: float | None = None, **more: Any) -> Overview:
    heldout = {} if score is None else {"heldout": {"metric": metric, metric: score}}
    outcome = {"seconds": more.pop("seconds", 1.0), **heldout}
    return Overview(
        id_, "finished", "downpour", "mlp", "digits", None, None, outcome, [], [], **more
    )


RUNS = [run(FIRST, "rmse", 0.5, seconds=9.0), run(SECOND, score=0.75, note="64 units")]
RUNS += [run(THIRD, score=0.875, seconds=3.0)]


FIGURES = [
    "finished",
    "rmse",
    "0.5000",
    "22",
    "Nov",
    "18:08",
    "9",
    "s",
    "downpour",
    "mlp",
    "digits",
]


def drawn(runs: Sequence[Overview], width: int | None) -> list[str]:
    text = io.StringIO()
    console = Console(file=text, width=1000)
    for part in tabulate_runs(runs, width):
        console.print(part)
    return [line.rstrip() for line in text.getvalue().splitlines()]


def test_runs_are_shown_with_score_when_and_how_long() -> None:
    first, second, _ = drawn(RUNS, None)[1:]
    assert first.split() == [FIRST, *FIGURES]
    assert second.endswith("digits  64 units")


@pytest.mark.parametrize("width", [10, 26, 40, 80, 120])
def test_whatever_the_width_ids_are_whole_and_no_column_is_cut(width: int) -> None:
    lines = drawn(RUNS, width)
    assert [line.split()[0] for line in lines[1:4]] == [FIRST, SECOND, THIRD]
    assert max(map(len, lines[:4])) <= max(width, len(SECOND))
    whole = drawn(RUNS, None)[0].split()
    left_out = " ".join(lines[4:]).removeprefix("wider terminals and pipes show ").split(", ")
    assert sorted([*lines[0].split(), *filter(None, left_out)]) == sorted(whole)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("when", [FIRST, SECOND, THIRD]),
        ("score", [THIRD, SECOND, FIRST]),  # accuracy and RMSE are not compared
        ("time", [SECOND, THIRD, FIRST]),
    ],
)
def test_runs_can_be_sorted(order: str, expected: Sequence[str]) -> None:
    assert [each.run for each in sorted(RUNS, key=SORTS[order])] == expected


def test_a_run_that_diverged_is_called_so_and_is_last_by_score() -> None:
    gone = run(FIRST, score=0.0)
    gone.outcome["exit_code"] = ExitCode.DIVERGED
    assert [each.run for each in sorted([gone, *RUNS[1:]], key=SORTS["score"])][-1] == FIRST
    assert "diverged" in drawn([gone], None)[1].split()
    assert "to go on" not in "".join(describe_run(gone, Hindsight()))


def test_a_column_that_does_not_fit_leaves_its_room_to_others_and_the_rest_is_told() -> None:
    cells = [["a", "wide", "n", "last"], ["1", "x" * 30, "10", "z"]]
    lines = [str(line) for line in tabulate(cells, 16, first=("a", "wide"), right=("n",))]
    assert lines[:2] == ["a   n  last", "1  10  z"]
    assert " ".join(lines[2:]) == "wider terminals and pipes show wide"
    assert max(map(len, lines)) <= 16


def test_runs_can_be_sorted_by_name_those_without_one_last() -> None:
    runs = [run(FIRST), run(THIRD, name="b"), run(SECOND, name="a")]
    assert [each.run for each in sorted(runs, key=SORTS["name"])] == [SECOND, THIRD, FIRST]


def test_a_lower_error_is_better_and_no_score_comes_last() -> None:
    runs = [run(FIRST), run(SECOND, "rmse", 2.0), run(THIRD, "rmse", 1.0)]
    assert [each.run for each in sorted(runs, key=SORTS["score"])] == [THIRD, SECOND, FIRST]


def test_a_run_of_an_older_program_has_the_score_that_it_noted() -> None:
    seen = run(FIRST)
    seen.outcome["heldout"] = {"examples": 4, "accuracy": 0.25, "loss": 1.0}
    assert (seen.metric, seen.score) == ("accuracy", 0.25)


@pytest.mark.parametrize("odd", [7, [], {}, "x", None])
def test_an_odd_metric_is_no_score(odd: Any) -> None:
    seen = run(FIRST)
    seen.outcome["heldout"] = {"metric": odd, "accuracy": 0.25}
    assert (seen.metric, seen.score) == (None, None)


def test_an_id_says_when_the_run_began_and_ends_with_its_name() -> None:
    before = int(time.time()) - 1  # the clock of local times may be a tick behind
    new = new_run_id("first-try")
    assert new.endswith("-first-try")
    assert before <= (began(new) or 0) <= time.time()
    assert began("mine") is None
    assert began("20269999-999999-050a") is None


def test_the_end_of_a_run_is_a_line() -> None:
    seen = run(FIRST, score=0.75, seconds=2.0, note="64 units")
    seen.outcome.update(reason="all passes done", kept={"evaluation": 3, "passes": 5.0})
    assert describe_run(seen, Hindsight("a larger --l2")) == [
        f"run {FIRST}: finished, downpour of mlp on digits",
        "note: 64 units",
        "ended: all passes done, after 2.0 s (begun 22 Nov 18:08)",
        "held-out: accuracy 0.7500 (the saved model, evaluation 3, after 5 passes)",
        "to try next: a larger --l2",
    ]
