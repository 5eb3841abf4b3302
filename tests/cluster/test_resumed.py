"""A run that is resumed, and ends again."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from distbelief.app.errors import ExitCode
from distbelief.app.files.checkpoint import names
from distbelief.app.runs.record import RunRecord
from distbelief.app.settings.config import configure
from distbelief.coordinator.commands.cli import main
from distbelief.coordinator.problem.problem import prepare
from distbelief.coordinator.runs.folder import RunFolder

Start = Callable[..., Any]


def test_the_newest_checkpoint_of_a_resumed_run_is_its_own(command: Start, tmp_path: Path) -> None:
    """Its embedded servers are new: what they do not know any more is in the folder."""
    first = command("train", "--passes=1000000")
    first.says("held-out accuracy")
    first.process.send_signal(signal.SIGINT)
    assert first.ends() == ExitCode.INTERRUPTED
    checkpoints = tmp_path / "runs" / first.run / "checkpoints"
    before = names(checkpoints)

    second = command("resume", first.run, "--folder", tmp_path / "runs")
    second.says("taken up under fence")
    second.says("held-out accuracy")
    second.process.kill()  # without a last checkpoint
    second.ends()
    after = names(checkpoints)
    assert before[-1] in after
    assert after[-1] > before[-1]


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_again(tmp_path: Path) -> None:
    config, cluster = configure({"model": "softmax", "passes": 1, "folder": str(tmp_path)})
    problem = prepare(config, cluster.servers).with_interval(1)
    of_data = problem.data.fingerprint, problem.dataset.schema
    record = RunRecord("early", problem.config, problem.layout, (), *of_data)
    gone = {"embedded": True, "broker": "unix:///gone/control.sock", "parameter_servers": ()}
    folder = RunFolder.of(cluster, "early")
    folder.describe(record.to_json(), cluster, gone)

    words = ["resume", "early", "--folder", str(tmp_path)]
    answer = CliRunner().invoke(main, words, catch_exceptions=False)
    assert answer.exit_code == ExitCode.OK, answer.output
    assert "run early had come to no checkpoint: it begins again" in answer.output
    assert folder.outcome()["state"] == "finished"
    assert folder.model_file(cluster).exists()
