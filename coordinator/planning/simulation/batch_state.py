"""The state of a batch that is simulated: its portions, and the processes that compute them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field


@dataclass
class SentPortion:
    """A portion that was sent: when first and last, and how many backups there are of it."""

    sent: float
    last: float
    backups: int = 0
    done: bool = False


@dataclass
class PortionProcess:
    """A worker process: its host, how fast it is, and the evaluation whose point it has."""

    host: int
    slow: float
    dies_at: float
    evaluation: int = -1


@dataclass
class SimulatedEvaluation:
    """One evaluation."""

    number: int
    waiting: deque[int]
    portions: dict[int, SentPortion] = field(default_factory=dict)
    done: int = 0
    took: list[float] = field(default_factory=list)
