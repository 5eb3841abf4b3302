"""Runs of both algorithms that last as long as a test wants, and what they leave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

from distbelief.app.errors import ExitCode
from tests.cluster.faults.faulty_cluster import SHARDS, FaultyCluster

Start = Callable[..., Any]

#: Two subsets of 20 minibatches a pass.
PASSES = 60
PLANNED = 2 * 20 * PASSES
ITERATIONS = 50

#: Short leases, and checkpoints all the time.
LEASE_S = 1.0
COMMON = (
    *("train", "--model=slowmodels:Paced", "--data=synthetic:softmax"),
    *("--data-option=examples=400", "--l2=1e-3", "--evaluate-every=1000"),
    *(f"--shards={SHARDS}", "--block-numbers=16"),
    *(f"--lease-seconds={LEASE_S}", "--checkpoint-seconds=0.5"),
)
DOWNPOUR = (
    *("--replicas=2", "--batch-size=8", f"--passes={PASSES}", "--unit-steps=10"),
    "--model-option=seconds=0.1",
)
EACH_STEP = ("--n-push=1", "--n-fetch=1")
SANDBLASTER = (
    *("--algorithm=sandblaster", "--portions=8", f"--iterations={ITERATIONS}"),
    *("--gradient-tolerance=0", "--decrease-tolerance=0", "--model-option=seconds=0.25"),
)


def downpour(folder: Path, *exchanges: str) -> tuple[str, ...]:
    """The words that start a Downpour run, paced by ``folder``; it exchanges at each step."""
    return (*COMMON, *DOWNPOUR, f"--model-option=folder={folder}", *(exchanges or EACH_STEP))


def sandblaster(folder: Path) -> tuple[str, ...]:
    """The words that start a Sandblaster run, paced by ``folder``."""
    return (*COMMON, *SANDBLASTER, f"--model-option=folder={folder}")


def go(folder: Path) -> None:
    """Let the runs that are paced by ``folder`` run as fast as they can."""
    (folder / "go").touch()


@dataclass(frozen=True)
class Minimised:
    """What a Sandblaster run left: the loss at each iteration, and its parameters."""

    losses: dict[int, float]
    parameters: dict[str, bytes]


def minimised(faulty: FaultyCluster, training: Any) -> Minimised:
    """What a Sandblaster run has left at its end."""
    parameters = model_of(training)
    return Minimised(faulty.losses(training.run), parameters)


def model_of(training: Any) -> dict[str, bytes]:
    """The tensors of a run's model, when it has ended."""
    assert training.ends() == ExitCode.OK, training.err
    return {name: tensor.tobytes() for name, tensor in load_file(training.model).items()}


def runs_folder(training: Any) -> Path:
    """Where a command keeps its runs, and those that resume them find them."""
    folder: Path = training.folder.parent / "runs"
    return folder


def resumed(start: Start, training: Any, *words: str) -> Any:
    """Start the command that goes on with a run."""
    return start("resume", training.run, "--folder", runs_folder(training), *words)


def assert_exact(training: Any) -> None:
    """A Downpour run has ended, and every push of the plan was applied once on every shard."""
    assert training.ends() == ExitCode.OK, training.err
    assert f"applied: {PLANNED} on each of {SHARDS} shards, {PLANNED} planned" in training.out
