"""How a training can end, and what it leaves."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from app.models.metrics import Score
from app.store.contract import ShardCounts


class EndReason(StrEnum):
    """Expected ends of a training; what should not happen raises instead."""

    PASSES = "all passes done"
    TIME = "time is up"
    TARGET = "target reached"
    PATIENCE = "no better for the allowed number of evaluations"
    INTERRUPTED = "interrupted"
    GRADIENT = "converged: the gradient is small"
    DECREASE = "converged: the loss hardly decreases"
    ITERATIONS = "all iterations done"
    STALLED = "the line search finds no lower loss"
    DIVERGED = "the loss is not finite"


@dataclass(frozen=True)
class Evaluation:
    """The held-out score of a snapshot; ``passes`` and ``seconds`` say when it was taken."""

    number: int
    passes: float
    seconds: float
    score: Score


@dataclass(frozen=True)
class Outcome:
    """What a training left: the best model, and how it came to be.

    ``counts`` are the shards' pushes at the end, ``planned_pushes`` what every shard
    shows (applied and refused together) after all passes.
    """

    run: str
    reason: EndReason
    best: Evaluation | None
    evaluations: tuple[Evaluation, ...]
    counts: tuple[ShardCounts, ...]
    planned_pushes: int
    model_file: Path
    seconds: float
    steps: int
