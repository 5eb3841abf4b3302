"""Work that kills its process every time ends the run, by name, after the allowed attempts."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from distbelief.app.errors import ExitCode
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.cluster.processes import Child
from tests.cluster.fleets import workers
from tests.cluster.processes import children_of

Start = Callable[..., Any]
Until = Callable[..., None]

ATTEMPTS = 3
LEASE_S = 1.0
#: Celery alone takes up to 5 s.
REPLACED_S = 3.0
WORDS = ("--model=usermodels:Crashing", f"--unit-attempts={ATTEMPTS}", "--evaluate-every=1000")
ADVICE = "does it run out of memory, or crash? See the worker's log"


def assert_ended_by_name(training: Any, pattern: str, within_s: float) -> None:
    training.says("run ")
    began = time.monotonic()
    assert training.ends() == ExitCode.WORK_FAILED, training.err
    seconds = time.monotonic() - began
    print(f"ended {seconds:.1f} s after the announcement: {training.err.splitlines()[-1]}")
    (message,) = re.findall(r"^error: .*$", training.err, re.MULTILINE)
    assert re.match(pattern, message), message
    assert message.endswith(ADVICE)
    assert "Traceback" not in training.err
    assert seconds < within_s


def pool(worker: Child) -> set[int]:
    return {each.pid for each in children_of(worker.process.pid)}


def test_a_dead_process_of_a_worker_is_replaced_at_once(fleet: LocalCluster, until: Until) -> None:
    with workers(fleet, "unlucky") as (worker,):
        until(lambda: "ready." in worker.log.read_text(), "the worker")
        seconds = []
        for _ in range(6):
            (victim,) = pool(worker)
            os.kill(victim, signal.SIGKILL)
            killed = time.monotonic()
            until(lambda: pool(worker) - {victim}, "its replacement")  # noqa: B023
            seconds.append(time.monotonic() - killed)
        assert median(seconds) < REPLACED_S


def test_a_unit_that_kills_its_process_every_time_ends_the_run_and_the_worker_goes_on(
    fleet: LocalCluster, command: Start
) -> None:
    with workers(fleet, "unlucky") as (worker,):
        words = ("--replicas=1", f"--lease-seconds={LEASE_S}", *WORDS)
        training = command("train", *words, endpoints=fleet.endpoints)
        pattern = rf"error: unit downpour-0-200 lost its worker {ATTEMPTS} times and got no further"
        pattern += r", last \d+@\S+: "
        assert_ended_by_name(training, pattern, within_s=20.0)
        assert worker.log.read_text().count("WorkerLostError") >= ATTEMPTS
        healthy = command("train", "--replicas=1", "--passes=1", endpoints=fleet.endpoints)
        assert healthy.ends() == ExitCode.OK, healthy.err


def test_a_portion_that_kills_its_process_every_time_ends_the_run_and_the_worker_goes_on(
    fleet: LocalCluster, command: Start
) -> None:
    with workers(fleet, "unlucky") as (worker,):
        training = command("train", "--algorithm=sandblaster", *WORDS, endpoints=fleet.endpoints)
        pattern = rf"error: portion \d+ failed {ATTEMPTS} times: .* died, or its message was lost"
        assert_ended_by_name(training, pattern, within_s=30.0)
        assert worker.log.read_text().count("WorkerLostError") >= ATTEMPTS
        words = ("--algorithm=sandblaster", "--model=softmax", "--iterations=2")
        healthy = command("train", *words, endpoints=fleet.endpoints)
        assert healthy.ends() == ExitCode.OK, healthy.err
