"""How a training can end, and what it leaves."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from app.models.metrics import Score


class EndReason(StrEnum):
    """Expected ends of a training; what should not happen raises instead."""

    PASSES = "all passes done"
    TIME = "time is up"
    TARGET = "target reached"
    PATIENCE = "no better for the allowed number of evaluations"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Evaluation:
    """The held-out score of a snapshot; ``passes`` and ``seconds`` say when it was taken."""

    number: int
    passes: float
    seconds: float
    score: Score


@dataclass(frozen=True)
class Outcome:
    """What a training left: the best model, and how it came to be."""

    run: str
    reason: EndReason
    best: Evaluation | None
    evaluations: tuple[Evaluation, ...]
    model_file: Path | None
    seconds: float
    steps: int
