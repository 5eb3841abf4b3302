"""What tests of stopping and resuming share: a training that takes its time, and its end."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distbelief.app.errors import ExitCode
from distbelief.app.files import checkpoint
from distbelief.coordinator.cluster.endpoints import Endpoints

Start = Callable[..., Any]
Until = Callable[..., None]

SHARDS = 2
#: Two subsets of ten minibatches a pass: 20 seconds while slow, then a second.
PASSES = 40
PLANNED = 2 * 10 * PASSES

WORDS = (
    *("train", "--data=synthetic:softmax", "--data-option=examples=400", "--batch-size=16"),
    *("--model=slowmodels:Dawdling", f"--passes={PASSES}", "--evaluate-every=1"),
    *(f"--shards={SHARDS}", "--block-numbers=16", "--unit-steps=20"),
    *("--lease-seconds=1.5", "--checkpoint-seconds=0.5"),
)


def begun(command: Start, folder: Path, endpoints: Endpoints | None = None, *words: str) -> Any:
    """A training that has little of its work behind it, and dawdles."""
    (folder / "slow").touch()
    training = command(*WORDS, f"--model-option=folder={folder}", *words, endpoints=endpoints)
    training.says("held-out accuracy")
    return training


def resumed(command: Start, run: str, folder: Path, *words: str) -> Any:
    """``resume``, of a run in the folder of the command fixture."""
    return command("resume", run, *words, "--folder", folder / "runs")


def checkpoints(folder: Path, run: str) -> list[str]:
    """Those of a run in the folder of the command fixture."""
    return checkpoint.names(folder / "runs" / run / "checkpoints")


def ends_exactly(training: Any, folder: Path) -> None:
    """What is left goes fast: all work is done, every push was applied once on each shard."""
    (folder / "slow").unlink(missing_ok=True)
    assert training.ends() == ExitCode.OK, training.err
    assert "finished: all passes done" in training.out
    applied = f"updates applied: {PLANNED} on each of {SHARDS} shards, {PLANNED} planned"
    assert applied in training.out, training.out
    assert "Traceback" not in training.err


def complaint(training: Any, code: ExitCode) -> str:
    """The sentence with which a command ended."""
    assert training.ends() == code, training.err
    assert "Traceback" not in training.err
    (message,) = re.findall(r"^error: (.*)$", training.err, re.MULTILINE)
    return str(message)
