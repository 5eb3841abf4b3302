"""Replicas that may not drift apart: the bound holds, and nobody waits for ever."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distbelief.app.client.servers import Servers
from distbelief.app.errors import ExitCode
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.downpour.units import UnitPlan
from tests.cluster.conftest import Trained
from tests.cluster.fleets import clocks, workers
from tests.cluster.resumable import SHARDS, begun, ends_exactly, resumed

Start = Callable[..., Any]
Until = Callable[..., None]

BOUND = 3
STEPS = 40
SLEEP_S = 0.05


def lead(servers: Servers, run: str) -> int:
    """By how many pushes one of two streams is ahead of the other at this moment."""
    fields = servers.one("HMGET", f"ps:{{{run}/0}}:meta", "seq:0", "seq:1")
    first, second = (int(sequence or 0) for sequence in fields)
    return abs(first - second)


def largest_lead(
    command: Start, fleet: LocalCluster, folder: Path, until: Until, *words: str
) -> tuple[int, str]:
    """Of a training in which one of two processes is slow; and what it printed."""
    folder.mkdir()
    words += ("--model=slowmodels:Straggling", f"--model-option=folder={folder}")
    words += (f"--model-option=seconds={SLEEP_S}", "--data=synthetic:softmax")
    words += ("--data-option=examples=400", "--replicas=2", "--batch-size=16", "--passes=4")
    words += (f"--unit-steps={STEPS}", "--evaluate-every=1000", "--shards=1")
    training = command("train", *words, endpoints=fleet.endpoints)
    servers, leads = Servers(fleet.endpoints.parameter_servers), [0]

    def over() -> bool:
        leads.append(lead(servers, training.run))
        return training.process.poll() is not None

    until(over, "the end of the training")
    servers.close()
    assert training.ends() == 0, training.err
    return max(leads), training.out


def test_with_a_bound_a_fast_replica_waits_for_a_slow_one_and_says_so(
    fleet: LocalCluster, command: Start, tmp_path: Path, until: Until
) -> None:
    """A push that was begun within the bound takes its stream one further."""
    with workers(fleet, "one", "two") as both:
        for each in both:
            until(lambda log=each.log: "ready." in log.read_text(), "a worker")
        free, told = largest_lead(command, fleet, tmp_path / "free", until)
        bound, said = largest_lead(
            command, fleet, tmp_path / "bound", until, f"--max-staleness={BOUND}"
        )
    print(f"largest lead seen: {free} pushes without a bound, {bound} with one of {BOUND}")
    assert free > STEPS / 2
    assert 1 < bound <= BOUND + 1
    assert "waited" not in told
    waited_s = re.findall(r"waited ([\d.]+) s for slower replicas", said)
    assert len(waited_s) == 1
    assert float(waited_s[0]) > STEPS * SLEEP_S / 2


@pytest.mark.parametrize("overlap", [False, True])
def test_one_process_for_three_replicas_takes_them_in_turns_and_ends(
    command: Start, overlap: bool
) -> None:
    words = ["--data=synthetic:softmax", "--model=softmax", "--data-option=examples=400"]
    words += ["--replicas=3", "--processes=1", "--servers=1", "--batch-size=16", "--passes=2"]
    words += ["--max-staleness=4", "--warm-start-steps=3", "--n-push=2"]
    words += ["--overlap" if overlap else "--no-overlap"]
    training = command("train", *words)
    assert training.ends() == 0, training.err
    # 107 examples or 106 for each replica: 7 steps a pass, 7 pushes in two of them.
    assert "42 steps; updates applied: 21 on each of" in training.out
    assert "21 planned" in training.out
    assert "s for slower replicas" in training.out
    assert "sent again" not in training.err


def test_under_a_bound_a_killed_worker_and_a_resumed_run_end_exactly(
    fleet: LocalCluster, command: Start, tmp_path: Path, until: Until
) -> None:
    """The worker that is left takes both replicas in turns."""
    with workers(fleet, "killed", "left") as (killed, left):
        for each in (killed, left):
            until(lambda log=each.log: "ready." in log.read_text(), "a worker")
        training = begun(
            command, tmp_path, fleet.endpoints, "--max-staleness=50", "--unit-steps=100"
        )
        os.killpg(killed.process.pid, signal.SIGKILL)
        applied = min(clocks(fleet, training.run, SHARDS))
        until(lambda: min(clocks(fleet, training.run, SHARDS)) > applied + 20, "further pushes")
        training.process.send_signal(signal.SIGINT)
        assert training.ends() == ExitCode.INTERRUPTED, training.err
        heir = resumed(command, training.run, tmp_path)
        ends_exactly(heir, tmp_path)


def test_a_bound_and_scaled_rates_leave_every_push_counted_once(
    train_shared: Callable[..., Trained],
) -> None:
    done = train_shared(
        data="synthetic:softmax", model="softmax", replicas=3, passes=2, unit_steps=10,
        max_staleness=5, scale_by_staleness=True, optimizer="adam", learning_rate=0.01,
    )  # fmt: skip
    planned = sum(unit["pushes"] for unit in done.units)
    assert done.clocks == {(planned, 0)}
    assert planned == UnitPlan.of(done.problem).total_pushes
