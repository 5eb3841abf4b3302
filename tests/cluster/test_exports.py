"""The parameters of a run are brought out while it runs, and after it was stopped."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from distbelief.app.errors import ExitCode
from distbelief.app.files import checkpoint
from distbelief.app.layout.keys import PARAMETERS
from distbelief.app.models.files import read_model
from distbelief.app.models.scaling import Foldable
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.commands.cli import main

Start = Callable[..., Any]

ENDLESS = {
    "downpour": ("--passes", "100000", "--n-push", "1", "--n-fetch", "1"),
    "sandblaster": ("--iterations", "100000", "--decrease-tolerance=0", "--gradient-tolerance=0"),
}


def done(*words: object) -> str:
    """What a command prints, in this process: another would take a second to begin."""
    answer = CliRunner().invoke(main, [str(word) for word in words])
    assert answer.exit_code == ExitCode.OK, answer.exception
    return answer.output


@pytest.mark.parametrize("algorithm", ENDLESS)
def test_a_run_is_exported_while_it_runs_and_after_it_was_stopped(
    algorithm: str, shared: LocalCluster, command: Start, tmp_path: Path
) -> None:
    words = ("--algorithm", algorithm, "--model", "softmax", *ENDLESS[algorithm])
    endpoints = (
        shared.endpoints if algorithm == "downpour" else None
    )  # the other has its own servers
    training = command("train", *words, "--json", endpoints=endpoints)
    training.says("held-out accuracy 0.9")
    folder = ("--folder", tmp_path / "runs")
    now, later = tmp_path / "now.safetensors", tmp_path / "later.npz"
    assert "from the servers" in done("export", training.run, *folder, "--output", now)
    evaluation = json.loads(done("evaluate", "--model", now, "--data", "digits", "--json"))
    assert evaluation["accuracy"] > 0.5

    training.process.send_signal(signal.SIGINT)
    assert training.ends() == ExitCode.INTERRUPTED, training.err
    document = json.loads(training.out)
    assert (document["reason"], document["run"]) == ("interrupted", training.run)
    export = json.loads(done("export", training.run, *folder, "--output", later, "--json"))
    saved = checkpoint.read(Path(document["checkpoint"]))
    assert export["from"] == f"checkpoint {saved.path.name}"
    with np.load(later) as found:
        flat = np.concatenate([found["weights"].ravel(), found["bias"]])
    state = saved.document["driver"].get("state")
    point = PARAMETERS if state is None else f"vec:{state['point']}"
    stopped = read_model(Path(document["model"]))
    model, scaling = stopped.build(), stopped.scaling
    assert isinstance(model, Foldable)
    assert scaling is not None
    assert np.array_equal(flat, model.folded(saved.vector(point), scaling))
    if algorithm == "sandblaster":  # Downpour keeps its best, and goes on from its last
        assert np.array_equal(flat, stopped.parameters)
