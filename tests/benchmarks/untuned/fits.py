"""What came of one training with default settings, and of several."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

LINEAR, NETWORK = "linear", "network"


@dataclass(frozen=True)
class Fit:
    """One training.

    Attributes:
        kind: of the model, linear or network; those of one kind are compared.
        ours: whether it is judged, or what ours are judged by.
        score: on held-out examples: accuracy, balanced accuracy or R2.
        constant: the score of always the commonest class, or the mean.
        log_loss: on the same; None without probabilities.
        said: warnings, and remarks on what went wrong.
    """

    problem: str
    scaled: bool
    seed: int
    contestant: str
    kind: str
    ours: bool
    score: float
    constant: float
    log_loss: float | None
    said: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Fit:
        return cls(**{**document, "said": tuple(document["said"])})


@dataclass(frozen=True)
class Cell:
    """The fits of one contestant on one table, with every seed."""

    fits: tuple[Fit, ...]

    @property
    def score(self) -> float:
        return statistics.mean(each.score for each in self.fits)

    @property
    def spread(self) -> float:
        """Standard deviation of the scores."""
        return statistics.pstdev(each.score for each in self.fits)

    @property
    def log_loss(self) -> float | None:
        losses = [each.log_loss for each in self.fits if each.log_loss is not None]
        return statistics.mean(losses) if losses else None


#: Those of a table, by the names of the contestants.
Row = Mapping[str, Cell]


def rows(fits: Sequence[Fit], *, scaled: bool) -> dict[str, Row]:
    """The cells of each problem, in the order of the fits."""
    found: dict[str, dict[str, list[Fit]]] = {}
    for each in fits:
        if each.scaled == scaled:
            found.setdefault(each.problem, {}).setdefault(each.contestant, []).append(each)
    return {
        problem: {name: Cell(tuple(mine)) for name, mine in row.items()}
        for problem, row in found.items()
    }
