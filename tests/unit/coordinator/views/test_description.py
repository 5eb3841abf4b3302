"""``data`` tells what is in a file, for people and for machines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from distbelief.app.errors import ExitCode
from distbelief.coordinator.commands import conversion
from distbelief.coordinator.commands.conversion import show_conversion
from distbelief.coordinator.views import description
from distbelief.coordinator.views.description import describe

Run = Callable[..., Any]

CSV = "age,town,paid\n30,Ulm,yes\n0,Bern,no\n1,2\n40,Ulm,no\n"


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "a.csv"
    path.write_text(CSV)
    return path


def test_a_file_is_described(run: Run, csv: Path) -> None:
    options = ("--data-option", "target=paid", "--data-option", "bad_lines=1")
    answer = run("data", csv, *options, "--data-option", "buckets=4")
    lines = answer.out.splitlines()
    assert answer.code == 0
    assert lines[:13] == [
        "examples: 3",
        "features: 5, sparse, 33.3 % of the values not zero",
        "numeric columns: age",
        "categorical columns: town, hashed to 4 each",
        "target: column 'paid', as --data-option target says",
        "header: found (--data-option header=false says otherwise)",
        "task: classification, because the targets are text (--data-option task=regression says "
        "otherwise)",
        "positive class: yes (--data-option positive=no is the other)",
        "classes: 2",
        "  no: 2",
        "  yes: 1",
        "bad lines: 1",
        f"  {csv}: line 4: there are 2 columns, 3 are needed",
    ]
    assert [line.partition(":")[0] for line in lines[13:]] == ["cached", "fingerprint"]


def test_machines_get_the_same_as_json(run: Run, csv: Path) -> None:
    options = ("--data-option=target=paid", "--data-option=bad_lines=1", "--data-option=buckets=4")
    seen = json.loads(run("data", csv, *options, "--json").out)
    assert seen["examples"] == 3
    assert seen["density"] == pytest.approx(5 / 15)
    assert seen["classes"] == [{"label": "no", "examples": 2}, {"label": "yes", "examples": 1}]
    choice = {"column": "column 'paid'", "why": "as the option target says", "header": True}
    assert seen["target"] == {"choice": choice, "guessed": "text"}
    assert (seen["task"], seen["positive"]) == ("classification", "yes")
    assert (seen["numeric_columns"], seen["categorical_columns"]) == (["age"], ["town"])
    assert [fault["line"] for fault in seen["bad_lines"]] == [4]
    assert seen["cached_bytes"] > 0


def test_a_regression_has_figures_instead_of_classes(run: Run, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.array([[0, 1.0], [2, 3]]), y=np.array([1.5, -2]))
    lines = run("data", tmp_path / "a.npz").out.splitlines()
    assert lines[1] == "features: 2, dense, 75 % of the values not zero"
    assert lines[2:4] == [
        "task: regression, because the targets are numbers with fractions "
        "(--data-option task=classification says otherwise)",
        "targets: least -2, mean -0.25, greatest 1.5",
    ]


def test_figures_do_not_depend_on_how_much_is_looked_at_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = describe("digits", {})
    monkeypatch.setattr(description, "CHUNK", 100)
    parts = describe("digits", {})
    assert (parts.density, parts.classes) == (whole.density, whole.classes)
    assert sum(whole.classes.values()) == 1797


def test_long_lists_are_cut(run: Run, tmp_path: Path) -> None:
    lines = "".join(f"{i},c{i:02}\n" for i in range(30))
    (tmp_path / "a.csv").write_text(f"x,y\n{lines}")
    answer = run("data", tmp_path / "a.csv").out
    assert "classes: 30\n" in answer
    assert "  c19: 1\n  and 10 more\n" in answer


def test_what_cannot_be_read_is_one_sentence(run: Run, csv: Path) -> None:
    answer = run("data", csv, "--data-option", "target=paid")
    assert (answer.code, answer.out) == (ExitCode.DATA, "")
    assert "line 4" in answer.err


# --- while it is converted


def test_a_short_conversion_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with show_conversion(Console(stderr=True)) as tell:
        tell(1, 2)
    assert capsys.readouterr() == ("", "")


def test_a_long_one_shows_lines_without_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(conversion, "SILENT_S", 0.0)
    with show_conversion(Console(stderr=True)) as tell:
        tell(3_000_000, 12_000_000)
        tell(6_000_000, 12_000_000)  # too soon after the first
    assert capsys.readouterr().err == "converting data: 3 MB read, 25%\n"


def test_nobody_knows_the_share_of_an_unknown_size(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(conversion, "SILENT_S", 0.0)
    with show_conversion(Console(stderr=True)) as tell:
        tell(3_000_000, 0)
    assert capsys.readouterr().err == "converting data: 3 MB read\n"


def test_a_terminal_gets_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(conversion, "SILENT_S", 0.0)
    console = Console(stderr=True, force_terminal=True, width=100)
    with show_conversion(console) as tell:
        tell(3_000_000, 12_000_000)
    assert "3.0/12.0 MB" in capsys.readouterr().err
