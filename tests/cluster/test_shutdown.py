"""A worker that is told to end hands its unit over, and another goes on with it at once."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from distbelief.app.client.servers import Servers
from distbelief.app.runs.ledger import Ledger
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.cluster.processes import Child, end
from tests.cluster.fleets import busy, clocks, start_worker
from tests.cluster.processes import children_of

Start = Callable[..., Any]
Until = Callable[..., None]

#: Without a hand-over, the unit would cost this.
LEASE_S = 60.0
#: What an operator gives a worker to end.
GRACE_S = 60.0
#: Less than the soft shutdown lasts.
TAKEN_OVER_S = 8.0
STEP_S = 0.25
SHARDS = 2
#: One subset of 20 minibatches a pass, all in one unit.
STEPS = 60
UNIT = f"downpour-0-{STEPS}"


#: Words and variables by which a worker's processes are started, and told to end, in another way.
WAYS = {
    "forked": ((), {}),
    "spawned and remapped": (
        ("--", "worker.pool_start_method=spawn"),
        {"REMAP_SIGTERM": "SIGQUIT"},
    ),
}


@contextmanager
def staying_worker(fleet: LocalCluster, folder: Path) -> Iterator[Child]:
    started = start_worker(fleet, folder, "staying")
    try:
        yield started
    finally:
        end([started], 0.0)


@pytest.fixture(params=WAYS)
def leaving(request: pytest.FixtureRequest, fleet: LocalCluster, tmp_path: Path) -> Iterator[Child]:
    """A worker that is about to leave."""
    words, variables = WAYS[request.param]
    started = start_worker(fleet, tmp_path, "leaving", *words, **variables)
    yield started
    end([started], 0.0)


def start_training(command: Start, fleet: LocalCluster, folder: Path) -> Any:
    words = ["--model=slowmodels:Sleepy", f"--model-option=folder={folder}"]
    words += [f"--model-option=seconds={STEP_S}", "--data=synthetic:softmax", "--replicas=1"]
    words += ["--data-option=examples=400", "--batch-size=16", "--passes=3", "--unit-steps=60"]
    words += ["--evaluate-every=1000", f"--shards={SHARDS}", "--block-numbers=16"]
    return command("train", *words, f"--lease-seconds={LEASE_S}", endpoints=fleet.endpoints)


def processes(worker: Child) -> set[int]:
    """The processes of a worker's pool."""
    return {each.pid for each in children_of(worker.process.pid, recursive=True)}


def holder(control: Servers, run: str) -> int:
    """The process that holds the unit, 0 if none does."""
    unit = Ledger(control, run).read([UNIT]).get(UNIT)
    return int(unit.owner.partition("@")[0]) if unit and unit.state == "leased" else 0


def test_a_worker_that_gets_sigterm_hands_its_unit_over_long_before_its_lease_ends(
    fleet: LocalCluster,
    leaving: Child,
    control: Servers,
    command: Start,
    tmp_path: Path,
    until: Until,
) -> None:
    until(lambda: "ready." in leaving.log.read_text(), "the first worker")
    training = start_training(command, fleet, tmp_path)
    until(lambda: busy(leaving, tmp_path), "the first step")
    with staying_worker(fleet, tmp_path) as staying:
        until(lambda: "ready." in staying.log.read_text(), "the second worker")
        until(lambda: min(clocks(fleet, training.run, SHARDS)) >= 5, "the fifth push")
        assert holder(control, training.run) in processes(leaving)
        heirs = processes(staying)
        leaving.process.send_signal(signal.SIGTERM)
        told = time.monotonic()
        until(lambda: holder(control, training.run) in heirs, "the new owner", TAKEN_OVER_S)
        print(f"taken over {time.monotonic() - told:.2f} s after SIGTERM")
        assert leaving.process.wait(GRACE_S) == 0
        print(f"ended {time.monotonic() - told:.2f} s after SIGTERM")
        assert training.ends() == 0, training.err
    assert clocks(fleet, training.run, SHARDS) == [STEPS] * SHARDS
    assert f"updates applied: {STEPS} on each of 2 shards, {STEPS} planned" in training.out
