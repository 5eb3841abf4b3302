"""Workers that come late and workers that are killed: every push still counts once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distbelief.app.client.servers import Servers
from distbelief.app.runs import events
from distbelief.app.runs.ledger import Ledger
from distbelief.coordinator.cluster.local import LocalCluster
from tests.cluster.fleets import clocks, workers
from tests.cluster.processes import children_of, send

Start = Callable[..., Any]
Until = Callable[..., None]

LEASE_S = 2.0
#: What a unit may take beyond the lease: a look of the dispatcher, a message, the work.
DISPATCH_SLACK_S = 8.0
SHARDS = 3
#: Two subsets of 20 minibatches a pass, a unit each; workers wait before gradient 30.
CALLS = 30
PASSES = 5
PLANNED = 2 * 20 * PASSES


@pytest.fixture
def start(fleet: LocalCluster, command: Start, tmp_path: Path) -> Callable[[], Any]:
    """Start a training whose workers wait in the middle of a unit until tmp_path/go."""

    def start_training() -> Any:
        words = ["--replicas=2", "--no-overlap", "--model=usermodels:Waiting"]
        words += [f"--model-option=folder={tmp_path}", f"--model-option=calls={CALLS}"]
        words += ["--data=synthetic:softmax", "--data-option=examples=400", "--batch-size=8"]
        words += [f"--passes={PASSES}", "--unit-steps=20", "--evaluate-every=1000"]
        words += [f"--shards={SHARDS}", "--block-numbers=16", f"--lease-seconds={LEASE_S}"]
        return command("train", *words, endpoints=fleet.endpoints)

    return start_training


def waiting(folder: Path) -> set[int]:
    """Processes of workers that wait in the middle of a unit."""
    return {int(path.name.removeprefix("waiting-")) for path in folder.glob("waiting-*")}


def held_by(control: Servers, run: str, process: int) -> str:
    """The unit that a process of a worker holds."""
    units = [f"downpour-{subset}-{stop}" for subset in (0, 1) for stop in range(20, 120, 20)]
    (name,) = (
        name
        for name, unit in Ledger(control, run).read(units).items()
        if unit.state == "leased" and unit.owner.startswith(f"{process}@")
    )
    return name


def finished_at(control: Servers, run: str, name: str) -> float:
    """When the coordinator took a unit in, in seconds since 1970."""
    return next(
        at_ms / 1000
        for at_ms, kind, fields in events.read(control, run)
        if kind == "unit" and fields["unit"] == name
    )


def test_a_late_worker_takes_its_share_and_the_death_of_the_first_loses_nothing(
    fleet: LocalCluster,
    control: Servers,
    start: Callable[[], Any],
    tmp_path: Path,
    until: Until,
) -> None:
    with workers(fleet, "first") as (first,):
        training = start()
        until(lambda: len(waiting(tmp_path)) == 1, "the first worker at its thirtieth step")
        assert clocks(fleet, training.run, SHARDS) == [CALLS - 1] * SHARDS

        with workers(fleet, "second"):
            until(lambda: len(waiting(tmp_path)) == 2, "the second worker at its thirtieth step")
            # It did as many steps as the first one, on top of them.
            assert clocks(fleet, training.run, SHARDS) == [2 * (CALLS - 1)] * SHARDS

            (doomed,) = (p.pid for p in children_of(first.process.pid))
            unit = held_by(control, training.run, doomed)
            os.killpg(first.process.pid, signal.SIGKILL)
            killed = time.time()
            (tmp_path / "go").touch()
            assert training.ends() == 0, training.err

    assert finished_at(control, training.run, unit) - killed < LEASE_S + DISPATCH_SLACK_S
    assert clocks(fleet, training.run, SHARDS) == [PLANNED] * SHARDS
    assert f"updates applied: {PLANNED} on each of 3 shards, {PLANNED} planned" in training.out


def test_a_killed_process_of_a_worker_is_replaced_and_loses_nothing(
    fleet: LocalCluster,
    control: Servers,
    start: Callable[[], Any],
    tmp_path: Path,
    until: Until,
) -> None:
    with workers(fleet, "pair", processes=2) as (pair,):
        training = start()
        until(lambda: waiting(tmp_path), "a worker at its thirtieth step")
        doomed = min(waiting(tmp_path))
        unit = held_by(control, training.run, doomed)
        os.kill(doomed, signal.SIGKILL)
        killed = time.time()
        (tmp_path / "go").touch()
        assert training.ends() == 0, training.err
        assert pair.process.poll() is None

    assert finished_at(control, training.run, unit) - killed < LEASE_S + DISPATCH_SLACK_S
    assert clocks(fleet, training.run, SHARDS) == [PLANNED] * SHARDS


def test_a_unit_that_is_preempted_again_and_again_ends_no_run(
    fleet: LocalCluster, command: Start, until: Until
) -> None:
    """All of the training is one unit, which may fail once. It loses its worker four times."""
    planned = 2 * 40
    words = ["--replicas=1", "--no-overlap", "--n-push=1", "--n-fetch=1", "--unit-attempts=1"]
    words += ["--model=slowmodels:Sleepy", "--model-option=seconds=0.05", "--batch-size=8"]
    words += ["--data=synthetic:softmax", "--data-option=examples=400", "--passes=2"]
    words += ["--unit-steps=80", "--evaluate-every=1000", "--lease-seconds=0.5"]
    words += [f"--shards={SHARDS}", "--block-numbers=16"]
    with workers(fleet, "preempted") as (preempted,):
        training = command("train", *words, endpoints=fleet.endpoints)
        for reached in (5, 15, 25, 35):
            until(
                lambda reached=reached: min(clocks(fleet, training.run, SHARDS)) >= reached,
                f"{reached} steps",
            )
            for each in children_of(preempted.process.pid):
                send(each)
        assert training.ends() == 0, training.err
    assert clocks(fleet, training.run, SHARDS) == [planned] * SHARDS
    assert f"updates applied: {planned} on each of 3 shards, {planned} planned" in training.out
