"""What a driver of an algorithm is to the training that it drives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from app.layout import Vector
from coordinator.evaluations import Evaluations
from coordinator.outcome import EndReason, Evaluation
from coordinator.status import Status

#: How long a driver waits for something to happen before it looks around.
TICK_S = 0.5


@dataclass(frozen=True)
class Stage:
    """What surrounds a driver.

    Args:
        show: called with the status after everything that happened.
        check: called regularly; raises if the cluster is broken.
        interrupted: whether somebody asked to stop.
    """

    show: Callable[[Status], None]
    check: Callable[[], None]
    interrupted: Callable[[], bool]


class Driver(Protocol):
    """Drives one run; the shards hold what it trains."""

    evaluations: Evaluations

    @property
    def seconds(self) -> float:
        """Since the training began."""
        ...

    def create(self) -> None:
        """Write the first values to the shards."""
        ...

    def run(self) -> EndReason:
        """Train until a reason to stop."""
        ...

    def keep(self) -> tuple[Evaluation | None, Vector, dict[str, Vector]]:
        """Make the result what the shards hold: its evaluation, parameters and slots."""
        ...

    def abandon(self) -> None:
        """Shut the workers out and drop what only a training needs; the parameters stay."""
        ...

    def summary(self) -> Sequence[str]:
        """What the algorithm has to say at the end, a line each."""
        ...
