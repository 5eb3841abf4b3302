"""Curves for TensorBoard, in event files."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from distbelief.app.errors import ConfigError
from distbelief.app.settings.extras import needed
from distbelief.coordinator.problem.problem import Problem
from distbelief.coordinator.progress.callbacks import Callbacks
from distbelief.coordinator.progress.status import Status
from distbelief.coordinator.views.snapshot import ProgressSnapshot
from distbelief.coordinator.views.tracker import ProgressTracker

#: Seconds of training between two points of a curve; every evaluation is a point of its own.
EVERY_S = 1.0

#: Points that were written are on the disk after so long.
FLUSH_S = 5


class Curves:
    """Writes what changes as scalars over steps (Sandblaster: over iterations).

    Args:
        add: ``add(tag, value, step)`` writes one scalar.
        problem: names the measures.
    """

    def __init__(self, add: Callable[[str, float, int], object], problem: Problem) -> None:
        self._add = add
        self._task = problem.score_formatter.task
        self._tracker = ProgressTracker(problem.score_formatter)
        #: The last that was written: when, and of which step and held-out evaluation.
        self._at = -math.inf
        self._step = -1
        self._evaluation = 0

    def show(self, status: Status) -> None:
        """Write what is new in a status."""
        self._tracker.see(status)
        found = status.evaluation
        if found is not None and found.number != self._evaluation:
            self._evaluation = found.number
            step = round(found.passes * status.total_steps / status.total)
            for name, value in found.score.measures(self._task).items():
                self._write(f"heldout/{name}", value, step)
        if status.steps != self._step and status.seconds - self._at >= EVERY_S:
            self._at = status.seconds
            self._step = status.steps
            for tag, number in scalars(self._tracker.snapshot(status)):
                self._write(tag, number, status.steps)

    def _write(self, tag: str, value: float | None, step: int) -> None:
        if value is not None and math.isfinite(value):
            self._add(tag, value, step)


def scalars(snapshot: ProgressSnapshot) -> Iterator[tuple[str, float | None]]:
    """The curves of a training beside those of its held-out data."""
    yield "training/loss", snapshot.loss
    yield f"training/{'passes' if snapshot.unit == 'pass' else 'iterations'}", snapshot.done
    yield "speed/examples_per_second", snapshot.speed.examples
    yield "speed/steps_per_second", snapshot.speed.steps
    yield "workers/at_work", snapshot.workers
    if snapshot.downpour is not None:
        yield "staleness/median", snapshot.downpour.staleness_median
        yield "staleness/worst", snapshot.downpour.staleness_worst
        yield "network/bytes_a_step", snapshot.downpour.bytes_a_step
        yield "network/waiting_share", snapshot.downpour.network_share
    if snapshot.sandblaster is not None:
        yield "training/gradient_norm", snapshot.sandblaster.gradient_norm
        yield "training/step_length", snapshot.sandblaster.step
        yield "portions/backups_sent", snapshot.sandblaster.backups_sent


@contextmanager
def writing(
    folder: str, problem: Problem, run: str, say: Callable[[str], None]
) -> Iterator[Callbacks]:
    """Write a run's curves to FOLDER/RUN as long as this is open.

    Raises:
        ConfigError: the package is missing, or the folder cannot be made.
    """
    writer = _open_writer(Path(folder) / run)
    say(f"curves: {folder}{_shown_by(folder)}")
    curves = Curves(writer.add_scalar, problem)
    try:
        yield Callbacks(lambda _: None, curves.show)
    finally:
        writer.close()


def _open_writer(folder: Path) -> Any:
    package = needed("tensorboardX", "curves need the package tensorboardX", "tensorboard")
    try:
        return package.SummaryWriter(str(folder), flush_secs=FLUSH_S)
    except OSError as error:
        raise ConfigError(f"cannot write curves to {folder}: {error.strerror}") from error


def _shown_by(folder: str) -> str:
    """The command that shows curves, where it is installed; ours only writes them."""
    return f" (tensorboard --logdir {folder})" if shutil.which("tensorboard") else ""
