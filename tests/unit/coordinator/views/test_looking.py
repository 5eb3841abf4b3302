"""Runs are looked at by their summaries, which count as long as they are of the run.json of now."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.runs.record import RunRecord
from distbelief.app.settings.config import ClusterConfig, RunConfig
from distbelief.coordinator.runs import resumption, summary
from distbelief.coordinator.runs.folder import RunFolder
from distbelief.coordinator.views.looking import look_at_run, look_at_runs
from distbelief.coordinator.views.overview import Overview

N_RUNS = 20

LAYOUT = Layout((TensorSpec("w", (4,)),), 4, 1, 1)
RECORD = RunRecord(
    "run",
    RunConfig(model="softmax", data="synthetic", note="mine"),
    LAYOUT,
    ("unix:///gone",),
    "abc",
    Schema(5, 2),
)
OUTCOME = {"state": "finished", "seconds": 2.0, "heldout": {"metric": "auc", "auc": 0.75}}


def made(folder: Path, run: str, broker: str = "unix:///gone/control.sock") -> Path:
    """A run that ended, with servers of its own; its run.json."""
    place = {"embedded": True, "broker": broker, "parameter_servers": ["unix:///gone/0.sock"]}
    written = RunFolder(folder / run)
    written.describe(replace(RECORD, run=run).to_json(), ClusterConfig(folder=str(folder)), place)
    written.conclude(OUTCOME)
    return written.file


def look(folder: Path) -> list[dict[str, Any]]:
    return [each.to_json() for each in look_at_runs({"folder": str(folder)})]


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs of which all that is written was checked."""
    runs, find = list[str](), resumption.find

    def noted(run: str, settings: Any) -> Any:
        runs.append(run)
        return find(run, settings)

    monkeypatch.setattr(resumption, "find", noted)
    return runs


def test_a_list_reads_two_files_of_a_run_and_no_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checked: list[str]
) -> None:
    for number in range(N_RUNS):
        file = made(tmp_path, f"run-{number:02}")
        (file.parent / "events.jsonl").write_text("x" * 100_000)
    opened, n_bytes, read = list[str](), 0, os.open

    def noted(file: Path, flags: int) -> int:
        nonlocal n_bytes
        opened.append(Path(file).name)
        n_bytes += Path(file).stat().st_size
        return read(file, flags)

    monkeypatch.setattr(os, "open", noted)
    rows = look_at_runs({"folder": str(tmp_path)})
    assert [each.state for each in rows] == ["finished"] * N_RUNS
    assert sorted(opened) == ["run.json"] * N_RUNS + ["summary.json"] * N_RUNS
    assert n_bytes < N_RUNS * 10_000
    assert checked == []


def test_what_a_summary_says_is_what_its_run_says(tmp_path: Path, checked: list[str]) -> None:
    file = made(tmp_path, "run")
    short, run = look(tmp_path), look_at_run("run", {"folder": str(tmp_path)}).to_json()
    (file.parent / "summary.json").unlink()
    assert checked == []
    assert look(tmp_path) == short
    assert checked == ["run"]
    assert look_at_run("run", {"folder": str(tmp_path)}).to_json() == run
    assert checked == ["run"], "it was not kept for those who look next"


def edited(file: Path) -> None:
    """Another digit: neither size nor time tell it."""
    before, text = file.stat(), file.read_text()
    file.write_text(text.replace('"seconds": 2.0', '"seconds": 3.0'))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def replaced(file: Path) -> None:
    other = made(file.parents[1] / "others", "other")
    text = other.read_text().replace('"seconds": 2.0', '"seconds": 3.0')
    shutil.rmtree(other.parents[1])
    file.write_text(text)


def restored(file: Path) -> None:
    """The summary of before, beside what its run says now."""
    kept = (file.parent / "summary.json").read_bytes()
    RunFolder(file.parent).conclude({**OUTCOME, "seconds": 3.0})
    (file.parent / "summary.json").write_bytes(kept)


@pytest.mark.parametrize("change", [edited, replaced, restored])
def test_a_summary_of_another_run_json_does_not_count(
    change: Callable[[Path], None], tmp_path: Path, checked: list[str]
) -> None:
    file = made(tmp_path, "run")
    change(file)
    for _ in range(2):
        assert [each["seconds"] for each in look(tmp_path)] == [3.0]
    assert checked == ["run"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "[" * 100_000, '{"format": 2}', '{"format": 1, "digest": 7}']
)
def test_a_summary_that_cannot_be_read_is_made_again(
    text: str, tmp_path: Path, checked: list[str]
) -> None:
    file = made(tmp_path, "run")
    kept = json.loads((file.parent / "summary.json").read_text())
    (file.parent / "summary.json").write_text(text)
    assert [each["state"] for each in look(tmp_path)] == ["finished"]
    assert json.loads((file.parent / "summary.json").read_text()) == kept


def test_a_damaged_run_json_is_told_though_a_summary_is_there(tmp_path: Path) -> None:
    file = made(tmp_path, "run")
    file.write_text(file.read_text().replace('"n_shards": 1', '"n_shards": 0'))
    assert [each["state"] for each in look(tmp_path)] == ["unreadable"]
    made(tmp_path, "run").unlink()
    assert look(tmp_path) == []


def test_where_nothing_can_be_written_runs_are_listed_all_the_same(tmp_path: Path) -> None:
    file = made(tmp_path, "run")
    (file.parent / "summary.json").unlink()
    (file.parent / "summary.json").mkdir()
    assert [each["state"] for each in look(tmp_path)] == ["finished"]


def test_a_run_whose_socket_is_there_is_asked(tmp_path: Path, checked: list[str]) -> None:
    (tmp_path / "control.sock").touch()
    made(tmp_path / "runs", "run", f"unix://{tmp_path}/control.sock")
    seen: list[Overview] = look_at_runs({"folder": str(tmp_path / "runs")})
    assert [each.state for each in seen] == ["finished"]
    assert checked == ["run"]


def test_a_summary_has_what_lists_show_and_no_more(tmp_path: Path) -> None:
    file = made(tmp_path, "run")
    kept = summary.read(file.parent)
    assert kept == summary.Summary(
        *("downpour", "softmax", "synthetic", None, "mine", True, "unix:///gone/control.sock"),
        output=None,
        outcome=OUTCOME,
    )
    assert (file.parent / "summary.json").stat().st_size < 1_000
