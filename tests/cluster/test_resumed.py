"""A run that is resumed, and ends again."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distbelief.app.errors import ExitCode
from distbelief.app.files.checkpoint import names

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
