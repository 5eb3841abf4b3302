"""What follows from a run that has ended: what to try next, and how it is beside those before."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from distbelief.app.errors import DistBeliefError
from distbelief.app.models.metric import Metric, better
from distbelief.app.runs.snapshot import RunState
from distbelief.coordinator.progress.advice import Course, after_divergence, next_step
from distbelief.coordinator.progress.outcome import UNITS, EndReason
from distbelief.coordinator.report import reading
from distbelief.coordinator.report.history import History, training


@dataclass(frozen=True)
class Hindsight:
    """Sentences; empty where there is nothing to say.

    ``try_next`` is for a run that has finished or diverged, or was stopped in vain; ``earlier``
    compares it with those before.
    """

    try_next: str = ""
    earlier: str = ""


def hindsight(history: History) -> Hindsight:
    """What follows from a run."""
    if history.diverged and not history.iterations:  # of a minimisation the error tells it
        rate = float(history.config.get("learning_rate") or 0)
        return Hindsight(after_divergence(rate) if rate else "")
    state, course = history.outcome.get("state"), _course(history)
    if state == RunState.FINISHED or (state == RunState.STOPPED and course.in_vain):
        return Hindsight(next_step(course), history.earlier)
    return Hindsight(earlier=history.earlier)


def of_folder(folder: Path) -> Hindsight:
    """What follows from the run in a folder; nothing if that cannot be read."""
    try:
        return hindsight(reading.outline(folder))
    except DistBeliefError:
        return Hindsight()


def _course(history: History) -> Course:
    outcome, kept = history.outcome, history.kept
    reason = str(outcome.get("reason") or "")
    unit = UNITS.get(str(history.config.get("algorithm")), "passes")
    points = training(history)
    if kept is None:
        return Course(reason, unit)
    found = outcome.get("heldout") or {}
    known, name = found.get("baseline"), "rmse" if "rmse" in found else "accuracy"
    value = found.get(name)
    beaten = None
    if known is not None and value is not None:
        beaten = better(Metric(name), value, known)
    allowed = history.config.get("iterations" if reason == EndReason.ITERATIONS else "passes")
    return Course(
        reason,
        unit,
        allowed=float(allowed or 0),
        kept=kept.number,
        evaluations=history.heldout[-1].number,
        place=kept.place,
        last=history.heldout[-1].place,
        losses=tuple(each.loss for each in history.heldout[-2:]),
        training_loss=points[-1][2] if points else None,
        beaten=beaten,
    )
