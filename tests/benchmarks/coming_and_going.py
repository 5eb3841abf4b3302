"""Workers that come and go: ``PYTHONPATH=. python tests/benchmarks/coming_and_going.py``.

Workers of one process each sleep 0.1 s where they would compute a step, on a run with
``replicas = auto``. First eight of them, of which one is killed outright every 30 seconds, a whole
worker or its process in turns, and started again: prints the steps that count as a share of those
that eight made undisturbed, and the goodput that the run tells. Then two, to which six are added,
which are told to end again: prints how long it takes until the steps a second are those of the
workers that are there, within a tenth.
"""

from __future__ import annotations

import argparse
import itertools
import os
import signal
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from distbelief.app.client.servers import Servers
from distbelief.app.runs import leadership
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.cluster.processes import Child, end
from distbelief.coordinator.runs.messages import Messages
from hundred import coordinator
from tests.cluster.faults.private_fleet import start_worker

STEP_S = 0.1
MANY, FEW = 8, 2
KILL_EVERY_S = 30.0
WAIT_S = 120.0
#: Looks at the steps a second, and over how many of them each is taken.
LOOK_S, LOOKS = 0.5, 6
NEAR = 0.1

WORDS: list[object] = [
    *("--model-option", f"seconds={STEP_S}", "--unit-steps", 50, "--data-option", "examples=64000"),
    *("--passes", 100_000, "--evaluate-every", 100_000, "--run", "fleet"),
]


@dataclass
class Fleet:
    """Servers, and workers by their names. ``clusters`` has what a training is told of them."""

    cluster: LocalCluster
    folder: Path
    workers: dict[str, Child] = field(default_factory=dict)

    def start(self, *names: str) -> None:
        places = self.cluster.endpoints
        servers = ",".join(places.parameter_servers)
        variables = {"DISTBELIEF_BROKER": places.broker, "DISTBELIEF_PARAMETER_SERVERS": servers}
        for name in names:
            self.workers[name] = start_worker(self.folder, 1, variables, name)

    def await_processes(self, number: int) -> None:
        deadline = time.monotonic() + WAIT_S
        with closing(Messages(self.cluster.endpoints.broker)) as messages:
            while messages.processes() < number:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"not {number} processes within {WAIT_S:g} s")

    def stop(self, *names: str) -> None:
        """Tell workers to end, as whoever takes a machine away does."""
        for name in names:
            self.workers.pop(name).process.terminate()


class Run:
    """What a run has made: its steps, as a shard's clock counts them, and what it tells."""

    def __init__(self, cluster: LocalCluster) -> None:
        places = cluster.endpoints
        self.control = Servers([places.control])
        self.shards = Servers(places.parameter_servers[:1])

    def steps(self) -> int:
        return int(self.shards.one("HGET", "ps:{fleet/0}:meta", "clock") or 0)

    def told(self) -> dict[str, Any]:
        found = leadership.look(self.control, "fleet")
        assert found is not None
        return found.status

    def rate(self, seconds: float) -> float:
        """Steps a second over so long."""
        began, steps = time.monotonic(), self.steps()
        time.sleep(seconds)
        return (self.steps() - steps) / (time.monotonic() - began)

    def seconds_until(self, wanted: float, since: float) -> float:
        """How long after ``since`` the steps a second were as wanted."""
        seen = deque([(time.monotonic(), self.steps())], LOOKS)
        while time.monotonic() < since + WAIT_S:
            time.sleep(LOOK_S)
            seen.append((time.monotonic(), self.steps()))
            (first, few), (last, many) = seen[0], seen[-1]
            if len(seen) == LOOKS and abs((many - few) / (last - first) / wanted - 1) <= NEAR:
                return last - since
        raise TimeoutError(f"not {wanted:.1f} steps a second within {WAIT_S:g} s")


@contextmanager
def opened(number: int) -> Iterator[tuple[Fleet, Run]]:
    """A run on so many workers, which has made its first steps."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cluster = stack.enter_context(
            LocalCluster(servers=2, processes=0, folder=folder, wait_s=WAIT_S)
        )
        fleet = Fleet(cluster, folder)
        stack.callback(lambda: end(list(fleet.workers.values()), 10.0))
        fleet.start(*(f"worker{index}" for index in range(number)))
        fleet.await_processes(number)
        stack.enter_context(coordinator(fleet, folder, WORDS))  # type: ignore[arg-type]
        run = Run(cluster)
        while not run.steps():
            time.sleep(LOOK_S)
        yield fleet, run


def kill(worker: Child, *, whole: bool) -> None:
    """Kill a worker outright, or the process of it that computes, which it starts again."""
    if whole:
        os.killpg(worker.process.pid, signal.SIGKILL)
    else:
        for each in psutil.Process(worker.process.pid).children():
            each.kill()


def killed(seconds: float) -> None:
    """Eight workers, of which one is killed every so often."""
    with opened(MANY) as (fleet, run):
        time.sleep(5.0)
        undisturbed = run.rate(min(30.0, seconds / 3))
        began, steps, kills = time.monotonic(), run.steps(), 0
        names = itertools.cycle(sorted(fleet.workers))
        while time.monotonic() - began < seconds:
            time.sleep(KILL_EVERY_S / 2)
            name = next(names)
            kill(fleet.workers[name], whole=kills % 2 == 0)
            if kills % 2 == 0:  # whoever keeps workers starts it again
                fleet.workers[name] = fleet.workers[name].again()
            kills += 1
            time.sleep(KILL_EVERY_S / 2)
        rate = (run.steps() - steps) / (time.monotonic() - began)
        told = run.told()["downpour"]
    print(f"{MANY} workers undisturbed: {undisturbed:.1f} steps a second")
    print(f"one of them killed every {KILL_EVERY_S:g} s, {kills} times: {rate:.1f}", end=", ")
    print(f"{rate / undisturbed:.1%} of that; goodput as the run tells it {told['goodput']:.1%}")


def joined() -> None:
    """Two workers, six more, and two again."""
    with opened(FEW) as (fleet, run):
        time.sleep(5.0)
        of_two = run.rate(10.0)
        more = [f"worker{index}" for index in range(FEW, MANY)]
        since = time.monotonic()
        fleet.start(*more)
        fleet.await_processes(MANY)
        there = time.monotonic() - since
        up = run.seconds_until(of_two * MANY / FEW, since)
        of_many = run.rate(10.0)
        since = time.monotonic()
        fleet.stop(*more)
        down = run.seconds_until(of_two, since)
    print(f"{FEW} workers: {of_two:.1f} steps a second; {MANY}: {of_many:.1f}")
    print(f"followed {MANY - FEW} that join in {up:.1f} s (they had started in {there:.1f} s)")
    print(f"followed {MANY - FEW} that leave in {down:.1f} s")


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--seconds", type=float, default=180.0, help="with kills")
    flags.add_argument("--part", choices=("kills", "joins", "both"), default="both")
    asked = flags.parse_args()
    if asked.part != "joins":
        killed(asked.seconds)
    if asked.part != "kills":
        joined()


if __name__ == "__main__":
    main()
