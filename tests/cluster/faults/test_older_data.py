"""Servers come back with older data: a replica that was behind is promoted, or one starts from its
last snapshot. Both algorithms notice, say so, and end as if nothing had happened.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from distbelief.app.client.commands import Command
from distbelief.app.client.servers import Servers
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
from tests.cluster.faults.pairs import Pair
from tests.cluster.faults.private_fleet import progress, worker
from tests.redis.private import PrivateServer, connected
from tests.redis.programs import existing

Start = Callable[..., Any]
Until = Callable[..., None]

#: How far behind what comes back is, at least.
BEHIND_S = 0.5


@pytest.fixture(scope="module")
def fleet(
    module_command: Start, tmp_path_factory: pytest.TempPathFactory, until: Until
) -> Iterator[dict[str, Any]]:
    """A run of each algorithm: the first parameter server fails over, the second is restarted."""
    folder = tmp_path_factory.mktemp("older")
    program = existing(binaries.bundled())
    disk = Path(tempfile.mkdtemp(prefix="distbelief-disk-"))
    # With the engine of the undisturbed run: the other one adds in another order.
    engine = () if library() is None else ("--loadmodule", str(library()))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, disk, ignore_errors=True)
        broker = stack.enter_context(PrivateServer(program))
        pair = Pair(stack, program, engine)
        saving = ("--dir", str(disk), "--save", "3600 1000000000", *engine)
        saved = stack.enter_context(PrivateServer(program, options=saving))
        control = stack.enter_context(connected(broker.tcp_url, deadline_s=60.0))
        variables = {
            "DISTBELIEF_BROKER": broker.tcp_url,
            "DISTBELIEF_PARAMETER_SERVERS": f"{pair.url},{saved.tcp_url}",
        }
        stack.enter_context(worker(folder, 4, variables))
        endpoints = Endpoints(broker.tcp_url, (pair.url, saved.tcp_url))
        trainings = {
            "downpour": module_command(*downpour(folder), endpoints=endpoints),
            "sandblaster": module_command(*sandblaster(folder), endpoints=endpoints),
        }
        runs = [training.run for training in trainings.values()]
        progress(control, runs)
        until(lambda: pair.linked, "a link")
        pair.part()
        _go_on(control, runs)
        pair.promote()
        progress(control, runs)
        with connected(saved.url) as server:
            server.one("BGSAVE")
            until(lambda: b"rdb_bgsave_in_progress:0" in server.one("INFO", "persistence"), "it")
        _go_on(control, runs)
        saved.kill()
        saved.start()
        progress(control, runs)
        go(folder)
        for training in trainings.values():
            training.ends()
        yield {**trainings, "servers": (pair.url, saved.tcp_url)}


def _go_on(control: Servers, runs: list[str]) -> None:
    """Let both runs do what will be lost."""
    time.sleep(BEHIND_S)
    progress(control, runs)


def test_every_push_of_downpour_counts_once_on_every_shard(fleet: dict[str, Any]) -> None:
    assert_exact(fleet["downpour"])
    run = fleet["downpour"].run
    for index, url in enumerate(fleet["servers"]):
        with connected(url) as server:
            shards = range(index, SHARDS, 2)
            metas = [
                Command(0, ("HMGET", f"ps:{{{run}/{s}}}:meta", "clock", "seq:0")) for s in shards
            ]
            for clock, sequence in server.call(metas):
                assert int(clock) == 2 * int(sequence)


def test_sandblaster_gives_the_model_of_an_undisturbed_run(
    fleet: dict[str, Any], undisturbed: Minimised
) -> None:
    assert model_of(fleet["sandblaster"]) == undisturbed.parameters


def test_it_is_said_which_server_went_back_and_by_how_much(fleet: dict[str, Any]) -> None:
    older = r"shard \d on \S+ came back with older data: "
    pattern = {
        "downpour": older + r"\d+ updates? were lost and are made again",
        "sandblaster": older + r"(more than )?\d+ changes? behind",
    }
    for algorithm, expected in pattern.items():
        said = fleet[algorithm].err
        for url in fleet["servers"]:
            assert re.search(expected.replace(r"\S+", re.escape(url)), said), said
        assert "taken up under fence 3" in said
