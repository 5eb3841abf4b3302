"""Whoever dies in the middle of a round: what it changed counts once, or not at all."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distbelief.app.errors import ExitCode
from tests.cluster.faults.faulty_cluster import SHARDS, FaultyCluster
from tests.cluster.faults.paced import PASSES, downpour, go, resumed
from tests.cluster.faults.test_worker_deaths import held

Start = Callable[..., Any]
Until = Callable[..., None]

ROUND = 7
#: Of two streams; the last round of each is shorter.
STEPS = 20 * PASSES
PLANNED = 2 * -(-STEPS // ROUND)


def test_rounds_count_once_when_workers_and_the_coordinator_die_in_the_middle_of_one(
    durable: FaultyCluster, command: Start, tmp_path: Path, until: Until
) -> None:
    words = downpour(tmp_path, f"--round-steps={ROUND}", "--unit-steps=21", "--wire=int8")
    training = command(*words, endpoints=durable.cluster.endpoints)
    run = training.run
    said = f"rounds of {ROUND} steps that stand for 2 each, averaged with rate 1"
    assert f"{said}, int8 on the wire" in training.err
    killed = set[int]()
    for _ in range(2):
        before = durable.clocks(run)
        until(lambda b=before: min(durable.clocks(run)) > max(b), "another round")
        until(lambda: {*held(durable, run).values()} - killed, "a unit on a worker that lives")
        # A round takes 0.35 s: whoever has a unit is in the middle of one.
        victim = min({*held(durable, run).values()} - killed)
        os.kill(victim, signal.SIGKILL)
        killed.add(victim)
    training.process.kill()
    training.ends()
    second = resumed(command, training)
    second.says("taken up under fence")
    go(tmp_path)
    assert second.ends() == ExitCode.OK, second.err
    said = f"{2 * STEPS:,} steps; updates applied: {PLANNED} on each of {SHARDS} shards, "
    assert said + f"{PLANNED} planned" in second.out
    assert durable.clocks(run) == [PLANNED] * SHARDS
    reports = [told for told in durable.told(run, "unit") if told["steps"]]
    assert all(told["pushes"] == -(-told["steps"] // ROUND) for told in reports)
    assert not any(told["refused"] for told in reports)
