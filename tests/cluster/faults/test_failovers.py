"""A replica takes over, or a disk is full: everybody waits, and everything counts once.

Each server is a primary with a replica that is in sync, behind an address that moves. Between the
demotion and the move the old primary answers READONLY, and UNBLOCKED to whoever was waiting.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from distbelief.app.client.servers import Servers
from distbelief.app.store.native import library
from distbelief.coordinator.cluster import binaries
from distbelief.coordinator.cluster.endpoints import Endpoints
from tests.cluster.faults.paced import (
    Minimised,
    assert_exact,
    downpour,
    go,
    model_of,
    sandblaster,
)
from tests.cluster.faults.pairs import Pair
from tests.cluster.faults.private_fleet import pool, progress, worker
from tests.redis.private import connected
from tests.redis.programs import existing

Start = Callable[..., Any]
Until = Callable[..., None]

NAMES = ("control", "parameters0", "parameters1")
#: Longer than anybody pauses between two tries.
DEMOTED_S = 1.5


class InSync(Pair):
    """A pair whose replica has all when it takes over, and whose primary has a disk."""

    def __init__(self, stack: ExitStack) -> None:
        self.disk = Path(tempfile.mkdtemp(prefix="distbelief-disk-"))
        stack.callback(shutil.rmtree, self.disk, ignore_errors=True)
        disk = ("--dir", str(self.disk), "--save", "3600 1000000000")
        # With the engine of the undisturbed run: the other one adds in another order.
        module = library()
        engine = () if module is None else ("--loadmodule", str(module))
        super().__init__(stack, existing(binaries.bundled()), engine, disk)

    def fail_over(self, until: Until) -> None:
        """Have the replica take over when it has all, and the address move a while later."""
        until(lambda: self.linked, "a link")
        with connected(self.primary.url) as old, connected(self.replica.url) as new:
            old.one("FAILOVER", "TO", "127.0.0.1", self.replica.port)
            until(lambda: new.one("ROLE")[0] == b"master", "a new primary")
            time.sleep(DEMOTED_S)
            self.address.move(self.replica.port)

    def fill_disk(self, until: Until) -> None:
        """Have the primary refuse writes for a while, for it cannot save."""
        with connected(self.primary.url) as server:
            shutil.rmtree(self.disk)
            server.one("BGSAVE")
            status = b"rdb_last_bgsave_status:err"
            until(lambda: status in server.one("INFO", "persistence"), "a failed snapshot")
            time.sleep(DEMOTED_S)
            server.one("CONFIG", "SET", "stop-writes-on-bgsave-error", "no")
            server.one("CONFIG", "SET", "save", "")  # it could not end, either


@pytest.fixture(scope="module")
def fleet(
    module_command: Start,
    tmp_path_factory: pytest.TempPathFactory,
    until: Until,
) -> Iterator[dict[str, Any]]:
    """A run of each algorithm that goes through all of that."""
    folder = tmp_path_factory.mktemp("failovers")
    with ExitStack() as stack:
        pairs = {name: InSync(stack) for name in NAMES}
        broker, *parameters = (pair.url for pair in pairs.values())
        control: Servers = stack.enter_context(connected(broker, deadline_s=60.0))
        variables = {
            "DISTBELIEF_BROKER": broker,
            "DISTBELIEF_PARAMETER_SERVERS": ",".join(parameters),
        }
        crew = stack.enter_context(worker(folder, 4, variables))
        endpoints = Endpoints(broker, tuple(parameters))
        trainings = {
            "downpour": module_command(*downpour(folder), endpoints=endpoints),
            "sandblaster": module_command(*sandblaster(folder), endpoints=endpoints),
        }
        runs = [training.run for training in trainings.values()]
        progress(control, runs)
        before = pool(crew)
        for trouble in (InSync.fill_disk, InSync.fail_over):
            for name, pair in pairs.items():
                began = time.monotonic()
                trouble(pair, until)
                progress(control, runs)
                print(f"{name}, {trouble.__name__}: {time.monotonic() - began:.1f} s")
        go(folder)
        yield {**trainings, "workers": (before, pool(crew)), "log": crew.log}


def test_every_push_of_downpour_counts_once_on_every_shard(fleet: dict[str, Any]) -> None:
    assert_exact(fleet["downpour"])


def test_sandblaster_gives_the_model_of_an_undisturbed_run(
    fleet: dict[str, Any], undisturbed: Minimised
) -> None:
    assert model_of(fleet["sandblaster"]) == undisturbed.parameters


def test_nobody_lost_anything(fleet: dict[str, Any]) -> None:
    for algorithm in ("downpour", "sandblaster"):
        fleet[algorithm].ends()
        assert "lost" not in fleet[algorithm].err


def test_no_worker_is_restarted(fleet: dict[str, Any]) -> None:
    before, after = fleet["workers"]
    assert after == before
    assert "Unrecoverable error" not in fleet["log"].read_text()
