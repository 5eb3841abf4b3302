"""A worker that wakes up after its unit was given to another changes no bit."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distbelief.app.models.files import read_model
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.cluster.processes import Child
from tests.cluster.fleets import busy, clocks, workers

Start = Callable[..., Any]
Until = Callable[..., None]

SHARDS = 2
#: One subset of 20 minibatches a pass, all in one unit.
STEPS = 60


def start_training(command: Start, fleet: LocalCluster, *words: str) -> Any:
    """One replica without overlap: what it computes depends on nothing but the seed."""
    words = ("--model=slowmodels:Sleepy", "--replicas=1", "--no-overlap", "--passes=3", *words)
    words += ("--data=synthetic:softmax", "--data-option=examples=400", "--batch-size=16")
    words += ("--lease-seconds=1", f"--unit-steps={STEPS}", "--evaluate-every=1000")
    words += (f"--shards={SHARDS}", "--block-numbers=16")
    return command("train", *words, endpoints=fleet.endpoints)


def parameters(training: Any) -> bytes:
    assert training.ends() == 0, training.err
    return read_model(training.model).parameters.tobytes()


def stop_in_a_step(worker: Child, folder: Path, until: Until) -> None:
    """SIGSTOP while a gradient is being computed: its push comes after it wakes up."""
    for _ in range(100):
        until(lambda: busy(worker, folder), "a step")
        os.killpg(worker.process.pid, signal.SIGSTOP)
        if busy(worker, folder):
            return
        os.killpg(worker.process.pid, signal.SIGCONT)  # it had just finished
    raise AssertionError("no step was long enough")


def test_a_zombie_is_fenced_on_the_shards_and_changes_no_bit(
    fleet: LocalCluster, command: Start, tmp_path: Path, until: Until
) -> None:
    def pushes(training: Any) -> int:
        return min(clocks(fleet, training.run, SHARDS))

    with workers(fleet, "zombie") as (zombie,):
        undisturbed = parameters(start_training(command, fleet))
        slowly = ("--model-option=seconds=0.1", f"--model-option=folder={tmp_path}")
        training = start_training(command, fleet, *slowly)
        until(lambda: busy(zombie, tmp_path) and pushes(training) >= 5, "the fifth push")
        stop_in_a_step(zombie, tmp_path, until)
        stopped_at = pushes(training)
        with workers(fleet, "heir"):
            until(lambda: pushes(training) >= stopped_at + 5, "pushes of the heir")
            os.killpg(zombie.process.pid, signal.SIGCONT)
            # The shards refused its push; it never came to ask for its lease.
            fenced = re.compile(rf"downpour-0-{STEPS}: stopped, shard \d is fenced")
            until(lambda: fenced.search(zombie.log.read_text()), "the end of the zombie", 20.0)
            assert pushes(training) < STEPS, "it woke up too late to do any harm"
            assert parameters(training) == undisturbed
    assert clocks(fleet, training.run, SHARDS) == [STEPS] * SHARDS
