"""A run has one coordinator: others are told who it is, and may take its place."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from distbelief.app.client.commands import Command
from distbelief.app.client.servers import Servers
from distbelief.app.errors import ExitCode
from distbelief.app.layout.keys import shard
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.cluster.processes import Child
from distbelief.coordinator.runs.folder import RunFolder
from tests.cluster.fleets import clocks, workers
from tests.cluster.resumable import (
    PLANNED,
    SHARDS,
    begun,
    complaint,
    ends_exactly,
    resumed,
)

Start = Callable[..., Any]
Until = Callable[..., None]


@pytest.fixture(scope="module")
def pair(fleet: LocalCluster) -> Iterator[list[Child]]:
    with workers(fleet, "one", "other") as started:
        yield started


def told_who_has_it(training: Any, command: Start, folder: Path) -> None:
    """A second coordinator is refused, and told whom to ask."""
    message = complaint(resumed(command, training.run, folder), ExitCode.TAKEN)
    assert re.fullmatch(
        rf"run {training.run} is coordinated by process {training.process.pid} on "
        rf"{re.escape(socket.gethostname())} \(for \d+ s, last heard of [\d.]+ s ago\): stop it "
        rf"with '(.* )?stop {training.run}( .*)?', or take the run from it with --take-over",
        message,
    )
    assert training.process.poll() is None


def fences(fleet: LocalCluster, run: str) -> set[int]:
    """The run's fences on its shards."""
    servers = Servers(fleet.endpoints.parameter_servers)
    asked = [(index, ("HGET", shard(run, index, "meta"), "fence")) for index in range(SHARDS)]
    answers = servers.call([Command(index % len(servers), words) for index, words in asked])
    servers.close()
    return {int(answer) for answer in answers}


@pytest.mark.usefixtures("pair")
def test_a_run_on_servers_of_ones_own_is_refused_to_a_second_coordinator_that_may_take_it_over(
    fleet: LocalCluster, command: Start, tmp_path: Path
) -> None:
    first = begun(command, tmp_path, fleet.endpoints)
    told_who_has_it(first, command, tmp_path)
    assert fences(fleet, first.run) == {1}
    second = resumed(command, first.run, tmp_path, "--take-over")
    message = complaint(first, ExitCode.TAKEN)
    assert f"run {first.run}" in message
    assert re.search("taken over|has taken", message)
    assert second.process.poll() is None
    assert min(fences(fleet, first.run)) >= 2
    ends_exactly(second, tmp_path)


def test_an_embedded_run_is_refused_to_a_second_coordinator_that_may_take_it_over(
    command: Start, tmp_path: Path
) -> None:
    first = begun(command, tmp_path)
    told_who_has_it(first, command, tmp_path)
    second = resumed(command, first.run, tmp_path, "--take-over")
    # Its servers end with it: it is asked to stop, and leaves a checkpoint.
    assert first.ends() == ExitCode.INTERRUPTED
    assert "finished: interrupted" in first.out
    assert first.alive() == []
    second.says("came back from checkpoint")
    ends_exactly(second, tmp_path)


@pytest.mark.usefixtures("pair")
def test_a_frozen_coordinator_whose_run_was_given_away_changes_nothing_when_it_wakes_up(
    fleet: LocalCluster, command: Start, tmp_path: Path
) -> None:
    frozen = begun(command, tmp_path, fleet.endpoints)
    os.kill(frozen.process.pid, signal.SIGSTOP)
    try:
        # Nobody has to ask for it: its lease runs out.
        heir = resumed(command, frozen.run, tmp_path)
        heir.says("taken up under fence 2")
        ends_exactly(heir, tmp_path)
        fenced = fences(fleet, frozen.run)
    finally:
        os.kill(frozen.process.pid, signal.SIGCONT)
    assert f"run {frozen.run}" in complaint(frozen, ExitCode.TAKEN)
    assert clocks(fleet, frozen.run, SHARDS) == [PLANNED] * SHARDS
    assert fences(fleet, frozen.run) == fenced
    assert frozen.out == ""
    assert RunFolder(tmp_path / "runs" / frozen.run).outcome()["state"] == "finished"
