"""Workers die all the time: each death costs at most a lease, and no unit is lost."""

from __future__ import annotations

import os
import random
import signal
import statistics
import time
from collections.abc import Callable, Iterator, Set
from itertools import count, cycle
from pathlib import Path
from typing import Any

import psutil
import pytest

from distbelief.app.layout.keys import control
from distbelief.app.runs.ledger import Ledger, UnitState
from distbelief.coordinator.cluster.processes import Child
from tests.cluster.faults.conftest import faulty_cluster_of
from tests.cluster.faults.faulty_cluster import SHARDS, FaultyCluster
from tests.cluster.faults.paced import LEASE_S, PLANNED, assert_exact, downpour, go

Start = Callable[..., Any]
Until = Callable[..., None]

#: Units that lose their worker: the test goes on killing until there were so many.
LOST_UNITS = 5
#: What a unit may take beyond the lease: a look of the dispatcher, a message, a free worker, and if
#: that message died with a worker, the three seconds after which another is sent.
DISPATCH_S = 10.0
#: Units of some four seconds, so that whoever dies has one.
WORDS = ("--unit-steps=40", f"--lease-seconds={LEASE_S}")


@pytest.fixture
def faulty(tmp_path: Path) -> Iterator[FaultyCluster]:
    """Servers for workers that the test starts."""
    with faulty_cluster_of(tmp_path / "cluster", durable=False) as faulty:
        yield faulty


class Fleet:
    """Two workers of two processes; when one dies, another is started."""

    def __init__(self, faulty: FaultyCluster, moments: random.Random) -> None:
        self._rig = faulty
        self._moments = moments
        self._names = (f"worker{number}" for number in count())
        self.workers = [self._start() for _ in range(2)]

    def kill_some(self, busy: Set[int], *, whole: bool) -> set[int]:
        """Kill one of the ``busy`` processes, or the ``whole`` worker that it belongs to."""
        victim = self._moments.choice(sorted(busy))
        if not whole:
            os.kill(victim, signal.SIGKILL)
            return {victim}
        worker = next(w for w in self.workers if victim in self._pool(w))
        killed = self._pool(worker)
        os.killpg(worker.process.pid, signal.SIGKILL)
        worker.process.wait()
        self._rig.cluster.children.remove(worker)
        self.workers[self.workers.index(worker)] = self._start()
        return killed

    def _start(self) -> Child:
        return self._rig.start_worker(2, next(self._names))

    def _pool(self, worker: Child) -> set[int]:
        return {each.pid for each in psutil.Process(worker.process.pid).children()}


def held(faulty: FaultyCluster, run: str) -> dict[str, int]:
    """The units that are leased, and the process that holds each."""
    names = [name.decode() for name in faulty.control.one("SMEMBERS", control(run, "units"))]
    return {
        name: int(unit.owner.partition("@")[0])
        for name, unit in Ledger(faulty.control, run).read(names).items()
        if unit.state is UnitState.LEASED
    }


def test_workers_killed_at_random_cost_a_lease_each_and_no_unit(
    faulty: FaultyCluster, command: Start, tmp_path: Path, until: Until
) -> None:
    moments = random.Random(0)
    fleet = Fleet(faulty, moments)
    training = command(*downpour(tmp_path), *WORDS, endpoints=faulty.cluster.endpoints)
    run = training.run
    seconds: list[float] = []
    for whole in cycle((False, True)):
        if len(seconds) >= LOST_UNITS:
            break
        until(lambda: len(held(faulty, run)) == 2, "both units on workers")
        time.sleep(moments.uniform(0.0, 0.5))
        killed = fleet.kill_some(set(held(faulty, run).values()), whole=whole)
        began = time.monotonic()
        lost = {name for name, process in held(faulty, run).items() if process in killed}
        for name in sorted(lost):
            until(
                lambda name=name, killed=killed: held(faulty, run).get(name) not in {None, *killed},
                f"another worker for {name}",
            )
            seconds.append(time.monotonic() - began)
    assert max(faulty.clocks(run)) < PLANNED, "over before the last death"
    go(tmp_path)
    print(
        f"units dispatched again after {statistics.median(seconds):.2f} s (median), "
        f"{max(seconds):.2f} s (worst), leases of {LEASE_S:g} s"
    )
    assert max(seconds) < LEASE_S + DISPATCH_S
    assert_exact(training)
    assert faulty.clocks(run) == [PLANNED] * SHARDS
