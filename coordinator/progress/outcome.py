"""The end of a training: its reason, and all that is left of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # reasons are told without what computes scores
    from distbelief.app.models.metrics import Score

#: Evaluations in a row that are no better, from which on the training is told to do harm.
WORSE_FOR = 5
#: In what each algorithm counts when a held-out evaluation was made.
UNITS = {"downpour": "passes", "sandblaster": "iterations", "hybrid": "passes and iterations"}


class EndReason(StrEnum):
    """Expected ends of a training; what should not happen raises instead."""

    PASSES = "all passes done"
    PLATEAU = "the loss hardly falls any more"
    TIME = "time is up"
    TARGET = "target reached"
    PATIENCE = "no better for the allowed number of evaluations"
    INTERRUPTED = "interrupted"
    GRADIENT = "converged: the gradient is small"
    DECREASE = "converged: the loss hardly decreases"
    ITERATIONS = "iterations used up before it converged"
    STALLED = "precision reached: no lower loss can be found"
    DIVERGED = "the loss is not finite"


@dataclass(frozen=True)
class HeldoutEvaluation:
    """The held-out score of a snapshot; ``passes`` and ``seconds`` say when it was taken.

    ``auc_lost`` says that the control server lost what its AUC would have been found by.
    """

    number: int
    passes: float
    seconds: float
    score: Score
    auc_lost: bool = False

    def slim(self) -> HeldoutEvaluation:
        """Without what takes much room and is told of the best and the last one only."""
        return replace(self, score=replace(self.score, confusion=()))

    def to_json(self) -> dict[str, Any]:
        return {**self.__dict__, "score": self.score.to_json()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> HeldoutEvaluation:
        from distbelief.app.models.metrics import Score

        return cls(**{**document, "score": Score.from_json(document["score"])})


@dataclass(frozen=True)
class Outcome:
    """The result of a training, before a program gets it.

    ``heldout`` is the score of the model that was kept, ``test`` that of the same model on the
    examples that were put aside for it, ``details`` what the algorithm has to say, a line each,
    ``unit`` in what it counts its progress, ``checkpoint`` that from which an interrupted run can
    be resumed, ``folder`` where runs are, ``warning`` a sentence if nothing was learned;
    ``terminated`` says that SIGTERM ended it.
    """

    run: str
    reason: EndReason
    heldout: HeldoutEvaluation | None
    evaluations: tuple[HeldoutEvaluation, ...]
    details: tuple[str, ...]
    model_file: Path
    checkpoint: Path | None
    seconds: float
    folder: Path
    unit: str
    test: Score | None = None
    warning: str = ""
    terminated: bool = False
