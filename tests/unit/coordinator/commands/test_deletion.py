"""Before runs are removed somebody has said so; afterwards it is said what is left."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from distbelief.app.client.sweep import Amount
from distbelief.app.errors import DistBeliefError, ExitCode, RunTaken, ServerUnreachable
from distbelief.coordinator.runs import removal, resumption
from distbelief.coordinator.runs.removal import Removal, Swept
from distbelief.coordinator.views import looking

Run = Callable[..., Any]

SILENT = Swept("redis://two", Amount(), ServerUnreachable("redis://two gives no answer"))


@dataclass
class Runs:
    """Stands for the runs: what of each is removed, or why not."""

    outcomes: dict[str, tuple[Swept, ...] | DistBeliefError] = field(default_factory=dict)
    removed: list[tuple[str, bool]] = field(default_factory=list)

    def delete(self, found: Any, *, dry_run: bool) -> Removal:
        self.removed.append((found.name, dry_run))
        outcome = self.outcomes[found.name]
        if isinstance(outcome, DistBeliefError):
            raise outcome
        return Removal(found.name, outcome)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Runs:
    made = Runs()

    def find(name: str, settings: object) -> Any:
        return SimpleNamespace(name=name, folder=SimpleNamespace(path=tmp_path))

    monkeypatch.setattr(removal, "delete", made.delete)
    monkeypatch.setattr(resumption, "find", find)
    monkeypatch.setattr(
        looking,
        "look_at_runs",
        lambda settings, names, **_: [SimpleNamespace(run=name) for name in names],
    )
    return made


WHOLE = (Swept("redis://one", Amount(4, 2048)), Swept("redis://two", Amount(6, 1 << 20)))


def test_a_program_has_to_say_yes(runs: Runs, run: Run) -> None:
    answer = run("runs", "--delete", "a")
    assert (answer.code, runs.removed) == (ExitCode.USAGE, [])
    assert "there is nobody to ask here: add --yes, or --dry-run to look" in answer.err


@pytest.mark.parametrize("reply", [True, False])
def test_a_person_is_asked(
    reply: bool, runs: Runs, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))

    def confirm(text: str, **_: object) -> bool:
        asked.append(text)
        return reply

    monkeypatch.setattr("click.confirm", confirm)
    runs.outcomes = {"a": WHOLE, "b": WHOLE}
    answer = run("runs", "--delete", "a", "b")
    assert asked == ["remove 2 runs (a, b) from the servers?"]
    assert runs.removed == ([("a", False), ("b", False)] if reply else [])
    assert answer.code == (ExitCode.OK if reply else ExitCode.INTERRUPTED)


def test_it_is_said_what_went_and_what_stays(runs: Runs, run: Run) -> None:
    runs.outcomes = {"a": WHOLE}
    answer = run("runs", "--delete", "a", "--yes")
    assert answer.code == ExitCode.OK
    assert "run a: removed 10 keys, some 1 MiB" in answer.out
    assert "run a: its folder stays, with model and checkpoints" in answer.out


def test_a_dry_run_needs_no_yes(runs: Runs, run: Run) -> None:
    runs.outcomes = {"a": WHOLE}
    answer = run("runs", "--delete", "a", "--dry-run")
    assert "run a: would remove 10 keys" in answer.out
    assert runs.removed == [("a", True)]


def test_one_that_fails_does_not_keep_the_others(runs: Runs, run: Run) -> None:
    taken = RunTaken("run a is coordinated by process 1")
    runs.outcomes = {"a": taken, "b": (WHOLE[0], SILENT), "c": WHOLE}
    answer = run("runs", "--delete", "a", "b", "c", "--yes")
    assert answer.code == ExitCode.TAKEN
    assert "error: run a is coordinated by process 1" in answer.err
    assert "run b: what redis://two holds of it is left" in answer.out
    assert "run c: removed 10 keys" in answer.out


def test_programs_are_told_for_each_server(runs: Runs, run: Run) -> None:
    runs.outcomes = {"b": (WHOLE[0], SILENT)}
    answer = run("runs", "--delete", "b", "--yes", "--json")
    assert answer.code == ExitCode.UNREACHABLE
    (told,) = json.loads(answer.out)
    assert (told["keys"], told["bytes"], told["complete"]) == (4, 2048, False)
    assert [each["left"] for each in told["servers"]] == [None, "redis://two gives no answer"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--delete"], "needs the names of runs, or --older-than"),
        (["--yes"], "belong to --delete"),
        (["--older-than", "7"], "--older-than 7 must be a number and s, m, h, d or w"),
    ],
    ids=str,
)
def test_half_a_command_is_refused(words: list[str], said: str, runs: Runs, run: Run) -> None:
    answer = run("runs", *words)
    assert (answer.code, runs.removed) == (ExitCode.USAGE, [])
    assert said in answer.err
