"""A training is stopped by signals or from another terminal, or killed, and goes on later."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from distbelief.app.client.servers import Servers
from distbelief.app.errors import CheckpointError, ConfigError, ExitCode
from distbelief.app.files import checkpoint
from distbelief.app.layout.keys import shard
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.cluster.processes import Child
from distbelief.coordinator.views.looking import look_at_run
from distbelief.coordinator.views.overview import Overview
from tests.cluster.fleets import workers
from tests.cluster.resumable import begun, checkpoints, complaint, ends_exactly, resumed

Start = Callable[..., Any]
Until = Callable[..., None]

#: What a second signal may take: last words to servers that may be frozen.
AT_ONCE_S = 30.0


@pytest.fixture(scope="module")
def pair(fleet: LocalCluster) -> Iterator[list[Child]]:
    with workers(fleet, "one", "other") as started:
        yield started


def seen(folder: Path, run: str) -> Overview:
    """A run at a glance, from another terminal."""
    return look_at_run(run, {"folder": str(folder / "runs")})


def is_scored(overview: Overview) -> bool:
    """What a coordinator tells other terminals is up to a second old."""
    return overview.snapshot is not None and overview.snapshot.heldout is not None


@pytest.mark.usefixtures("pair")
@pytest.mark.parametrize("embedded", [True, False], ids=["embedded", "on servers of one's own"])
def test_a_training_that_got_a_signal_goes_on_with_the_command_that_it_prints(
    *, embedded: bool, fleet: LocalCluster, command: Start, tmp_path: Path, until: Until
) -> None:
    training = begun(command, tmp_path, None if embedded else fleet.endpoints)
    training.process.send_signal(signal.SIGTERM if embedded else signal.SIGINT)
    assert training.ends() == (ExitCode.GO_ON if embedded else ExitCode.INTERRUPTED)
    assert "Traceback" not in training.err
    (written,) = re.findall(r"^checkpoint: (.*)$", training.out, re.MULTILINE)
    last = checkpoint.read(Path(written)).path.name
    assert last == checkpoints(tmp_path, training.run)[-1]
    (words,) = re.findall("^to go on: python -m coordinator (.*)$", training.out, re.MULTILINE)
    assert seen(tmp_path, training.run).state == "stopped"
    others = ("--servers", "3") if embedded else ()
    heir = command(*words.split(), *others, "--folder", tmp_path / "runs")
    # What it writes is newer than what it found, for whoever goes on after it.
    until(lambda: checkpoints(tmp_path, training.run)[-1] > last, "a newer checkpoint", 20.0)
    ends_exactly(heir, tmp_path)


@pytest.mark.usefixtures("pair")
def test_a_second_signal_stops_a_training_at_once_that_cannot_stop_in_order(
    fleet: LocalCluster, command: Start, tmp_path: Path
) -> None:
    # Checkpoints one after another: one is being written when the server freezes.
    training = begun(command, tmp_path, fleet.endpoints, "--checkpoint-seconds=0.01")
    frozen = server_of(fleet, training.run)
    os.kill(frozen, signal.SIGSTOP)
    try:
        training.process.send_signal(signal.SIGINT)
        time.sleep(1.0)
        assert training.process.poll() is None
        training.process.send_signal(signal.SIGINT)
        assert training.ends(AT_ONCE_S) == ExitCode.INTERRUPTED
    finally:
        os.kill(frozen, signal.SIGCONT)
    assert "Traceback" not in training.err
    assert f"to go on from it: python -m coordinator resume {training.run}" in training.err


def server_of(fleet: LocalCluster, run: str) -> int:
    """The process of the parameter server that has the run's shard 0."""
    servers = Servers(fleet.endpoints.parameter_servers[:1])
    assert servers.one("EXISTS", shard(run, 0, "meta"))
    (line,) = re.findall(rb"process_id:(\d+)", servers.one("INFO", "server"))
    servers.close()
    return int(line)


@pytest.mark.usefixtures("pair")
def test_a_run_is_looked_at_and_stopped_from_another_terminal_whether_it_runs_or_not(
    fleet: LocalCluster, command: Start, tmp_path: Path, until: Until
) -> None:
    training = begun(command, tmp_path, fleet.endpoints)
    run = training.run
    until(lambda: is_scored(seen(tmp_path, run)), "a held-out score in its status")
    is_seen_running(training, command, tmp_path)

    training.process.kill()
    until(lambda: seen(tmp_path, run).state == "dead", "the end of its lease", 10.0)
    heir = resumed(command, run, tmp_path)
    heir.says("taken up under fence 2")
    assert seen(tmp_path, run).state == "running"

    is_stopped(heir, run, command, tmp_path)
    ends_exactly(resumed(command, run, tmp_path), tmp_path)
    assert seen(tmp_path, run).state == "finished"
    again = complaint(resumed(command, run, tmp_path), ExitCode.USAGE)
    assert f"run {run} has finished: there is nothing to resume" in again


def is_seen_running(training: Any, command: Start, folder: Path) -> None:
    """``status`` and ``runs`` tell who has it and how it stands."""
    run, folder_flags = training.run, ("--folder", folder / "runs")
    asked = [command("status", run, *folder_flags), command("runs", "--json", *folder_flags)]
    assert [each.ends() for each in asked] == [ExitCode.OK] * 2
    assert f"run {run}: running, downpour of slowmodels:Dawdling" in asked[0].out
    assert f"coordinator: process {training.process.pid} on " in asked[0].out
    assert re.search(r"^held-out: accuracy", asked[0].out, re.MULTILINE)
    (listed,) = json.loads(asked[1].out)
    assert (listed["run"], listed["state"]) == (run, "running")
    assert listed["moment"]["downpour"]["applied"]


def is_stopped(training: Any, run: str, command: Start, folder: Path) -> None:
    """``stop --wait`` returns when it has stopped; then there is nothing to stop."""
    folder_flags = ("--folder", folder / "runs")
    stop = command("stop", run, "--wait", *folder_flags)
    assert (stop.ends(), stop.out) == (ExitCode.OK, f"run {run} is stopped\n")
    assert training.ends() == ExitCode.INTERRUPTED
    assert f"to go on: python -m coordinator resume {run}" in training.out
    stopped = seen(folder, run)
    assert (stopped.state, stopped.coordinator) == ("stopped", None)
    assert stopped.outcome["reason"] == "interrupted"
    nothing = complaint(command("stop", run, *folder_flags), ExitCode.USAGE)
    assert nothing == f"run {run} is stopped: there is nothing to stop"


def test_a_run_that_nobody_knows_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no run nobody in"):
        seen(tmp_path, "nobody")


def test_an_embedded_run_that_was_killed_goes_on_from_the_last_checkpoint_that_is_whole(
    command: Start, tmp_path: Path, until: Until
) -> None:
    training = begun(command, tmp_path)
    until(lambda: len(checkpoints(tmp_path, training.run)) >= 3, "three checkpoints")
    training.process.kill()
    until(lambda: training.alive() == [], "the end of its servers", 10.0)
    assert seen(tmp_path, training.run).state == "dead"
    *_, before, newest = checkpoints(tmp_path, training.run)
    damage(tmp_path / "runs" / training.run / "checkpoints" / newest)
    heir = resumed(command, training.run, tmp_path)
    heir.says("trying the checkpoint before it")
    ends_exactly(heir, tmp_path)
    assert re.search(rf"{newest}/0\.npy .* is damaged: wrong digest; trying", heir.err)
    for number in range(2):
        assert f"shard {number} came back from checkpoint {before}" in heir.err


def damage(path: Path) -> None:
    """Flip one bit of its first vector."""
    content = bytearray((path / "0.npy").read_bytes())
    content[-1] ^= 1
    (path / "0.npy").write_bytes(content)
    with pytest.raises(CheckpointError):
        checkpoint.read(path)
