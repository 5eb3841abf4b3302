"""The same command again: a run of a name begins, goes on wherever it is, and ends once."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from distbelief.app.client.servers import Servers
from distbelief.app.errors import ExitCode
from distbelief.app.runs import demand
from distbelief.coordinator.cluster.local import LocalCluster
from tests.cluster.fleets import workers
from tests.cluster.resumable import WORDS, complaint, ends_exactly

Start = Callable[..., Any]

NAMED = ("--run=nightly", "--wait-for-workers=60", "--unit-attempts=20")


def test_a_named_run_begins_from_no_workers_and_goes_on_with_the_same_command(
    fleet: LocalCluster, control: Servers, command: Start, tmp_path: Path
) -> None:
    (tmp_path / "slow").touch()
    address = f"--checkpoint-address=file://{tmp_path}/copies"
    words = (*WORDS, *NAMED, f"--model-option=folder={tmp_path}", address)
    first = command(*words, endpoints=fleet.endpoints)
    # Before any worker is there, a scaler sees how many are wanted.
    first.says("waiting up to 60 s for workers")
    assert demand.wanted(control) == 2
    with workers(fleet, "scaled"):
        first.says("held-out accuracy")
        other = command(*words, "--learning-rate=0.5", endpoints=fleet.endpoints)
        begun = "run nightly was begun with learning_rate = 0.05, not 0.5: go on with these"
        assert begun in complaint(other, ExitCode.USAGE)

        first.process.send_signal(signal.SIGTERM)
        assert first.ends() == ExitCode.GO_ON
        assert demand.wanted(control) == 2  # who goes on finds its workers
        shutil.rmtree(tmp_path / "runs")
        second = command(*words, endpoints=fleet.endpoints)
        second.says("was fetched from file://")
        second.says("taken up under fence")

        # Now all is lost but the copies.
        second.process.kill()
        shutil.rmtree(tmp_path / "runs")
        for url in (fleet.endpoints.broker, *fleet.endpoints.parameter_servers):
            with closing(Servers([url])) as server:
                server.one("FLUSHALL")
        third = command(*words, endpoints=fleet.endpoints)
        third.says("came back from checkpoint")
        ends_exactly(third, tmp_path)
        assert demand.wanted(control) == 0

        done = command(*words, endpoints=fleet.endpoints)
        assert done.ends() == ExitCode.OK
        assert "run nightly has finished: there is nothing left to do" in done.out
