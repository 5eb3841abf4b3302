"""Checkpoints of trainings that go on, and of those that went wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distbelief.app.errors import ExitCode
from distbelief.app.files import checkpoint
from distbelief.app.layout.tensors import Vector
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.downpour.shard_states import from_json
from tests.cluster.fleets import clocks
from tests.cluster.resumable import complaint

Start = Callable[..., Any]
Until = Callable[..., None]

SHARDS = 2
DATA: dict[str, Any] = {"data": "synthetic:softmax", "data_options": {"examples": 400}}
#: Pushes of more units than are out at a time: somebody has to send new ones meanwhile.
UNIT_STEPS, MANY = 10, 100


def test_training_goes_on_while_a_checkpoint_is_written(
    shared: LocalCluster,
    train_shared: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    until: Until,
) -> None:
    write = checkpoint.write
    written: list[tuple[int, Path]] = []

    def pushes(run: str) -> int:
        return max(clocks(shared, run, SHARDS))

    def write_slowly(
        folder: Path, name: str, document: Mapping[str, Any], vectors: Iterable[tuple[str, Vector]]
    ) -> Path:
        run = folder.parent.name
        begun = pushes(run)
        if len(written) == 1:  # the first one is there before anything is trained
            until(lambda: pushes(run) >= begun + MANY, f"{MANY} pushes", 10.0)
        written.append((begun, write(folder, name, document, vectors)))
        return written[-1][1]

    monkeypatch.setattr(checkpoint, "write", write_slowly)
    trained = train_shared(
        **DATA,
        model="softmax",
        shards=SHARDS,
        block_numbers=16,
        passes=100_000,
        max_seconds=4.0,
        unit_steps=UNIT_STEPS,
        checkpoint_seconds=0.2,
        keep_checkpoints=1000,
    )
    assert len(written) >= 3
    for begun, path in written:
        # It holds the moment when it was begun, whatever was pushed meanwhile.
        shard_states = from_json(trained.problem.layout, checkpoint.read(path).document["shards"])
        assert max(shard_state.applied for shard_state in shard_states) <= begun


def last_good(training: Any) -> checkpoint.Checkpoint:
    """The checkpoint that it advises to go on from."""
    (path,) = re.findall(
        rf"^the last good checkpoint is (.*); to go on from it: python -m coordinator resume "
        rf"{training.run}(?: --folder .*)?$",
        training.err,
        re.MULTILINE,
    )
    return checkpoint.read(Path(path))


def is_finite(saved: checkpoint.Checkpoint) -> bool:
    return all(np.isfinite(saved.vector(name)).all() for name in saved.files)


def test_a_diverging_downpour_run_says_where_its_last_good_checkpoint_is(
    shared: LocalCluster, command: Start
) -> None:
    words = ("--optimizer=sgd", "--learning-rate=1e30", "--checkpoint-seconds=0.1", "--passes=400")
    training = command("train", *words, endpoints=shared.endpoints)
    message = complaint(training, ExitCode.DIVERGED)
    assert "Try a lower --learning-rate (now 1e+30), --clip-norm 1, or --warm-start" in message
    saved = last_good(training)
    assert "params" in saved
    assert is_finite(saved)


def test_a_sandblaster_run_that_cannot_begin_says_where_its_last_good_checkpoint_is(
    shared: LocalCluster, command: Start, tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    features, targets = random.normal(size=(64, 3)), random.normal(size=64)
    # Finite numbers whose squares are not.
    np.savez(tmp_path / "huge.npz", x=1e30 * features, y=1e30 * targets)
    words = ("--algorithm=sandblaster", "--model=linear", "--precision=float32", "--no-standardize")
    data = f"--data={tmp_path / 'huge.npz'}"
    training = command("train", *words, data, endpoints=shared.endpoints)
    message = complaint(training, ExitCode.DIVERGED)
    assert "not finite where the run begins: check the data's scale" in message
    assert is_finite(last_good(training))
