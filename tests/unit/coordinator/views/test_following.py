"""Following a run: what is shown of each state, when it ends, and with which exit code."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from distbelief.app.errors import ExitCode
from distbelief.coordinator.views import following
from distbelief.coordinator.views.following import DEAD_S, follow, watch
from distbelief.coordinator.views.overview import Overview
from distbelief.coordinator.views.tracker import ProgressTracker
from tests.unit.coordinator.conftest import Run
from tests.unit.coordinator.views.statuses import THREE, status

Follow = Callable[..., tuple[ExitCode, str]]


def overview(state: str, seconds: float | None = 4.0, **outcome: Any) -> Overview:
    snapshot = None
    if seconds is not None:
        now, tracker = status(seconds=seconds), ProgressTracker(THREE)
        tracker.see(now)
        snapshot = tracker.snapshot(now)
    owner = "process 7 on here" if state == "running" else None
    return Overview("run", state, "downpour", "mlp", "digits", owner, snapshot, outcome, [], [])


@pytest.fixture
def followed(monkeypatch: pytest.MonkeyPatch) -> Follow:
    """Follow a run that is seen like this, one look after another."""

    def follow_through(*seen: Overview, as_json: bool = False) -> tuple[ExitCode, str]:
        looks = iter(seen)
        monkeypatch.setattr(following, "glance_at_run", lambda run, settings: next(looks))
        monkeypatch.setattr(following, "look_at_run", lambda run, settings: seen[-1])
        monkeypatch.setattr(following, "LOOK_EVERY_S", 0.0)
        text = io.StringIO()
        code = follow("run", {}, Console(file=text, width=200), as_json=as_json)
        return code, text.getvalue()

    return follow_through


def test_following_ends_with_the_run(followed: Follow) -> None:
    code, text = followed(overview("running"), overview("finished", reason="all passes done"))
    assert code == ExitCode.OK
    first, line, *_ = text.splitlines()
    assert first == "run run: running, coordinator: process 7 on here"
    assert line.startswith("pass 2.5/10  steps/s 125  loss 0.125  held-out accuracy 0.9000")
    assert text.endswith("ended: all passes done\n")


@pytest.mark.parametrize(
    ("state", "outcome", "code"),
    [
        ("finished", {}, ExitCode.OK),
        ("stopped", {}, ExitCode.INTERRUPTED),
        ("stopped", {"exit_code": 75}, ExitCode.GO_ON),
        ("failed", {"error": "the training diverged", "exit_code": 12}, ExitCode.DIVERGED),
        ("failed", {"error": "an older version's"}, ExitCode.INTERNAL),
    ],
)
def test_the_exit_code_is_that_of_the_training(
    state: str, outcome: dict[str, Any], code: ExitCode, followed: Follow
) -> None:
    assert followed(overview("running"), overview(state, **outcome))[0] == code


def test_a_dead_run_is_waited_for_and_a_new_coordinator_is_followed(followed: Follow) -> None:
    code, text = followed(
        overview("running"),
        overview("dead", None),
        overview("running", 5.0),
        overview("finished"),
    )
    assert code == ExitCode.OK
    states = [line for line in text.splitlines() if line.startswith("run run: ")][:4]
    assert [line.partition(",")[0] for line in states] == [
        f"run run: {state}" for state in ("running", "dead", "running", "finished")
    ]
    assert "to go on: distbelief resume run" in states[1]


def test_a_run_that_stays_dead_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    seen = list(watch(lambda: overview("dead", None), lambda: now, sleep))
    assert now == pytest.approx(DEAD_S, abs=1.0)
    assert seen[-1].state == "dead"


def test_following_a_run_that_is_dead_for_long_times_out(
    followed: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "DEAD_S", -1.0)
    assert followed(overview("dead", None))[0] == ExitCode.TIMEOUT


def test_json_has_a_line_for_each_change(
    followed: Follow, capsys: pytest.CaptureFixture[str]
) -> None:
    running = overview("running")
    code, _ = followed(
        running, running, overview("running", 5.0), overview("finished"), as_json=True
    )
    assert code == ExitCode.OK
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["state"], each["moment"]["seconds"]) for each in lines] == [
        ("running", 4.0),
        ("running", 5.0),
        ("finished", 4.0),
    ]
    assert all(list(each) == ["run", "state", "moment", "outcome"] for each in lines)


def test_ctrl_c_leaves_the_run_alone_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def looks() -> Iterator[Overview]:
        yield overview("running")
        raise KeyboardInterrupt

    seen = looks()
    monkeypatch.setattr(following, "glance_at_run", lambda run, settings: next(seen))
    monkeypatch.setattr(following, "LOOK_EVERY_S", 0.0)
    code = follow("run", {}, Console(file=io.StringIO()), as_json=False)
    assert code == ExitCode.INTERRUPTED
    assert capsys.readouterr().err == "not following any more; run run is left alone\n"


def test_a_terminal_shows_the_last_moment_of_a_run_that_died(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = io.StringIO()
    looks = iter([overview("running"), overview("dead", None)])
    monkeypatch.setattr(following, "glance_at_run", lambda run, settings: next(looks))
    monkeypatch.setattr(following, "look_at_run", lambda run, settings: overview("dead", None))
    monkeypatch.setattr(following, "DEAD_S", -1.0)
    monkeypatch.setattr(following, "LOOK_EVERY_S", 0.0)
    console = Console(file=text, width=100, force_terminal=True, force_interactive=True)
    follow("run", {}, console, as_json=False)
    last = text.getvalue().partition("run run: dead")[2]  # the panel's title
    assert "pass 2.5/10" in last
    assert "no coordinator; to go on: distbelief resume run" in last


@pytest.mark.parametrize("words", [(), ("--json",)], ids=["text", "json"])
def test_nobody_follows_a_run_that_there_is_not(
    words: tuple[str, ...], run: Run, tmp_path: Path
) -> None:
    answer = run("status", "nobody", "--follow", *words, "--folder", tmp_path)
    assert (answer.code, answer.out) == (ExitCode.USAGE, "")
    assert answer.err.startswith("error: there is no run nobody in ")
