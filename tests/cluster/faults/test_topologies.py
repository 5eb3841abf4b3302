"""Control and parameters on a master that sentinels know, and on a cluster of three: masters die in
mid-run, and shards move from node to node. Every push counts once, and the minimiser is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from distbelief.app.store.native import library
from distbelief.coordinator.cluster import binaries
from distbelief.coordinator.cluster.endpoints import Endpoints
from tests.cluster.faults.faulty_cluster import SHARDS
from tests.cluster.faults.paced import (
    Minimised,
    assert_exact,
    downpour,
    go,
    model_of,
    sandblaster,
)
from tests.cluster.faults.private_fleet import progress, worker
from tests.redis.private import connected
from tests.redis.programs import existing
from tests.redis.topologies import PrivateCluster, PrivateSentinels

Start = Callable[..., Any]
Hurt = Callable[[list[str], Callable[[], None]], None]

PREFIX = "team1:"


@contextmanager
def trained(start: Start, folder: Path, url: str, hurt: Hurt) -> Iterator[dict[str, Any]]:
    """A run of each algorithm on the servers at ``url``, while ``hurt`` does what it does."""
    url += f"?key_prefix={PREFIX}"
    variables = {"DISTBELIEF_BROKER": url, "DISTBELIEF_PARAMETER_SERVERS": url}
    with worker(folder, 4, variables), connected(url, deadline_s=60.0) as control:
        endpoints = Endpoints(url, (url,))
        trainings = {
            "downpour": start(*downpour(folder), endpoints=endpoints),
            "sandblaster": start(*sandblaster(folder), endpoints=endpoints),
        }
        runs = [training.run for training in trainings.values()]
        progress(control, runs)
        hurt(runs, lambda: progress(control, runs))
        go(folder)
        for training in trainings.values():
            training.ends()
        for part in control.bare(0).parts(0):
            assert all(key.startswith(PREFIX.encode()) for key in part.one("KEYS", "*"))
        yield trainings


def _engine() -> tuple[str, ...]:
    """That of the undisturbed run: the other one adds in another order."""
    return () if library() is None else ("--loadmodule", str(library()))


@pytest.fixture(scope="module")
def on_sentinel(
    module_command: Start, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """The master dies, and comes back as the replica of the other one."""
    program = existing(binaries.bundled())
    with PrivateSentinels(program, password="secret", options=_engine()) as servers:

        def hurt(_: list[str], go_on: Callable[[], None]) -> None:
            killed = servers.fail()
            go_on()
            killed.start()
            go_on()

        folder = tmp_path_factory.mktemp("sentinel")
        with trained(module_command, folder, servers.url, hurt) as found:
            yield found


@pytest.fixture(scope="module")
def on_cluster(
    module_command: Start, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """Shards and Celery's keys move to other nodes, and a master dies that has some of them."""
    program = existing(binaries.bundled())
    with PrivateCluster(program, password="secret", options=_engine()) as cluster:

        def hurt(runs: list[str], go_on: Callable[[], None]) -> None:
            moved = [
                f"{PREFIX}ps:{{{run}/{shard}}}:meta" for run in runs for shard in range(SHARDS)
            ]
            moved += [f"{PREFIX}dist:{{celery}}:downpour"]
            moved += [f"{PREFIX}dist:run:{{{run}}}:record" for run in runs]
            for key in moved:
                masters = cluster.nodes[:3]
                cluster.move(key, masters[(masters.index(cluster.owner(key)) + 1) % 3], 0.02)
            go_on()
            cluster.fail(cluster.owner(moved[0]))
            go_on()

        folder = tmp_path_factory.mktemp("cluster")
        with trained(module_command, folder, cluster.url, hurt) as found:
            yield found


@pytest.fixture(params=["on_sentinel", "on_cluster"])
def fleet(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = request.getfixturevalue(request.param)
    return found


def test_every_push_of_downpour_counts_once_on_every_shard(fleet: dict[str, Any]) -> None:
    assert_exact(fleet["downpour"])


def test_sandblaster_gives_the_model_of_an_undisturbed_run(
    fleet: dict[str, Any], undisturbed: Minimised
) -> None:
    assert model_of(fleet["sandblaster"]) == undisturbed.parameters
