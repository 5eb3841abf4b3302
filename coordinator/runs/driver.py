"""The interface that Downpour, Sandblaster and the hybrid implement, and what they are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from distbelief.app.files.checkpoint import Checkpoint
from distbelief.app.layout.rows import Tables
from distbelief.app.layout.tensors import Vector
from distbelief.coordinator.progress.outcome import EndReason, HeldoutEvaluation
from distbelief.coordinator.progress.status import Status
from distbelief.coordinator.runs.checkpoints import Capture, Checkpoints
from distbelief.coordinator.runs.heldout import HeldoutEvaluations

#: How long a driver waits for something to happen before it looks around.
TICK_S = 0.5

#: Reads the newest checkpoint; and is told what people should know, a line each.
Latest = Callable[[], Checkpoint]
Say = Callable[[str], None]


@dataclass(frozen=True)
class DriverHooks:
    """Functions that a driver calls between its steps, and its checkpoints.

    Args:
        on_status: called with the status after everything that happened.
        check: called regularly; raises if the cluster is broken or the run was taken.
        should_stop: whether somebody asked to stop.
        checkpoints: the driver's state is written there now and then.
        terminated: whether it was SIGTERM that asked to stop.
    """

    on_status: Callable[[Status], None]
    check: Callable[[], None]
    should_stop: Callable[[], bool]
    checkpoints: Checkpoints
    terminated: Callable[[], bool] = lambda: False


@dataclass(frozen=True)
class FinalState:
    """The model that the shards hold at the end, and the evaluation that chose it, if any.

    ``parameters`` and slots are flat vectors; ``tables`` has the rows that came into being,
    for the parameters and for each slot, if there are tables. ``complaint`` is why shards may
    not be left with the model, which was read before that.
    """

    heldout: HeldoutEvaluation | None
    parameters: Vector
    slots: dict[str, Vector]
    tables: dict[str, Tables]
    complaint: str = ""


class Driver(Protocol):
    """Drives one run of an algorithm; the shards hold what it trains."""

    evaluations: HeldoutEvaluations

    @property
    def seconds(self) -> float:
        """Seconds of training, in this process and in those that drove the run before."""
        ...

    def create(self) -> None:
        """Write the initial values to the shards."""
        ...

    def load_state(self, document: Mapping[str, Any]) -> None:
        """Load what a driver before committed, or wrote into a checkpoint."""
        ...

    def restore(self, latest: Latest, say: Say) -> None:
        """Go on under the session's fence from the state of the shards.

        What they lost comes back from the ``latest`` checkpoint; ``say`` is told what and why, a
        line each. Raises CheckpointError if it is needed and there is none.
        """
        ...

    def run(self) -> EndReason:
        """Train until a reason to stop; may be called again after :meth:`restore`.

        Raises DataLost if a server lost what it had acknowledged.
        """
        ...

    def capture(self) -> Capture:
        """The state at this time, for a checkpoint."""
        ...

    def finish(self, *, resumable: bool) -> FinalState:
        """Read the model that is the result.

        Unless the run is to be resumed, it becomes what the shards hold, and nothing else stays.
        """
        ...

    def publish(self, parameters: Vector, tables: Tables) -> None:
        """Put a finished model in place of what the shards hold, for those who read it there."""
        ...

    def abandon(self) -> None:
        """Shut the workers out and stop the evaluation that is running."""
        ...

    def summary(self) -> Sequence[str]:
        """Lines on how the training went, for people."""
        ...
