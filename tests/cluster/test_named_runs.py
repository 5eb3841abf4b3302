"""The same command again: a run of a name begins, goes on wherever it is, and ends once."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from distbelief.app.client.servers import Servers
from distbelief.app.errors import ConfigError, ExitCode
from distbelief.app.runs import demand
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.commands.cli import main
from tests.cluster.fleets import workers
from tests.cluster.resumable import WORDS, ends_exactly

Start = Callable[..., Any]

NAMED = ("--run=nightly", "--wait-for-workers=60", "--unit-attempts=20")


def test_a_named_run_begins_from_no_workers_and_goes_on_with_the_same_command(
    fleet: LocalCluster, control: Servers, command: Start, tmp_path: Path
) -> None:
    (tmp_path / "slow").touch()
    address = f"--checkpoint-address=file://{tmp_path}/copies"
    words = (*WORDS, *NAMED, f"--model-option=folder={tmp_path}", address)
    servers = ",".join(fleet.endpoints.parameter_servers)

    def here(*words: str) -> str:
        """The same in this process, which saves a start."""
        where = ("--broker", fleet.endpoints.broker, "--parameter-servers", servers)
        folder = ("--folder", str(tmp_path / "runs"))
        answer = CliRunner().invoke(main, [*words, *where, *folder], catch_exceptions=False)
        assert answer.exit_code == ExitCode.OK
        return answer.output

    first = command(*words, endpoints=fleet.endpoints)
    # Before any worker is there, a scaler sees how many are wanted.
    first.says("waiting up to 60 s for workers")
    assert demand.wanted(control) == 2
    with workers(fleet, "scaled"):
        first.says("held-out accuracy")
        begun = "run nightly was begun with learning_rate = 0.05, not 0.5: go on with these"
        with pytest.raises(ConfigError, match=begun):
            here(*words, "--learning-rate=0.5")

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

        assert "run nightly has finished: there is nothing left to do" in here(*words)
