"""A comparison on a fleet: it is interrupted, goes on, and counts what trainings use."""

from __future__ import annotations

import csv
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distbelief.app.errors import ExitCode
from distbelief.coordinator.cluster.local import LocalCluster

Start = Callable[..., Any]
Until = Callable[..., None]

SMALL = (
    *("compare", "--methods", "numpy,downpour-adagrad,sandblaster", "--replicas", "2"),
    *("--seeds", "1", "--rates", "0.1", "--setting", "evaluate_every=1"),
    *("--budget", "60", "--setting", "passes=8", "--setting", "iterations=5"),
)
#: Numbers of the model of the digits, and of which kind they are on the wire.
PARAMETERS, FLOAT32 = 4810, 4


@pytest.mark.slow
def test_a_comparison_goes_on_where_it_was_interrupted(
    command: Start, shared: LocalCluster, tmp_path: Path, until: Until
) -> None:
    folder = tmp_path / "comparison"
    trials = folder / "trials"
    first = command(*SMALL, "--folder", folder, endpoints=shared.endpoints)
    until(lambda: list(trials.glob("*.json")), "the first trial")
    first.process.send_signal(signal.SIGINT)
    assert first.ends() == ExitCode.INTERRUPTED, first.err
    assert not list(folder.glob("request-*"))
    kept = {path: path.stat().st_mtime_ns for path in trials.glob("*.json")}
    assert 0 < len(kept) < 3

    again = command(*SMALL, "--folder", folder, endpoints=shared.endpoints)
    assert again.ends(2 * 60) == ExitCode.OK, again.err
    assert f"{len(kept)} are there already" in again.err
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert "held-out accuracy" in again.out
    assert (folder / "comparison.html").is_file()
    check_costs(folder)


def check_costs(folder: Path) -> None:
    found = json.loads((folder / "outcome.json").read_text())
    crashed = {each["method"]: each["crashed"] for each in found["methods"]}
    assert crashed == {"numpy": 0, "downpour-adagrad": 0, "sandblaster": 0}
    with (folder / "points.csv").open() as file:
        points = [{**line, "key": line["method"]} for line in csv.DictReader(file)]
    last = {each["key"]: each for each in points}
    starts = {each["key"]: each["loss"] for each in reversed(points)}
    assert len({f"{float(loss):.4g}" for loss in starts.values()}) == 1, "they begin alike"
    for method, each in last.items():
        used = {name: float(each[name]) for name in ("workers_s", "servers_s", "coordinator_s")}
        alone = method == "numpy"
        assert used["workers_s"] > 0
        assert all((used[name] > 0) is not alone for name in ("servers_s", "coordinator_s"))
        assert float(each["examples"]) > 0
        assert float(each["loss"]) < float(starts[method])
    downpour = last["downpour-adagrad"]
    # A push for at most four minibatches of 32, each of all the model's numbers.
    pushes = float(downpour["examples"]) / (4 * 32)
    assert float(downpour["bytes_in"]) > 0.8 * pushes * PARAMETERS * FLOAT32
    assert float(last["numpy"]["bytes_in"]) == 0
