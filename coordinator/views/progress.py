"""A training as people see it: as it goes, at its end, and from another terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from distbelief.app.models.model import Task
from distbelief.coordinator.progress.callbacks import Callbacks
from distbelief.coordinator.progress.digits import NEVER_SCORED
from distbelief.coordinator.progress.outcome import Outcome
from distbelief.coordinator.progress.program import command
from distbelief.coordinator.progress.scores import ScoreFormatter
from distbelief.coordinator.progress.status import Status
from distbelief.coordinator.views.facts import hindsight_lines
from distbelief.coordinator.views.panel import Panel
from distbelief.coordinator.views.screen import screen
from distbelief.coordinator.views.tracker import ProgressTracker, score_text

if TYPE_CHECKING:  # what is known of runs that ended is not imported before a training begins
    from rich.console import Console

    from distbelief.coordinator.report.hindsight import Hindsight


@contextmanager
def display(console: Console, score_formatter: ScoreFormatter) -> Iterator[Callbacks]:
    """Show a training on ``console`` as it goes."""
    tracker = ProgressTracker(score_formatter)
    held_back: list[Status] = []
    with screen(console) as there:

        def show(status: Status) -> None:
            tracker.see(status)
            held_back[:] = [status]
            if there.due(status.evaluation.number if status.evaluation else 0):
                there.draw(Panel(tracker.snapshot(status)))
                held_back.clear()

        yield Callbacks(there.say, show, tracker.hear)
        for status in held_back:  # how it ended
            there.draw(Panel(tracker.snapshot(status)))


def summarize(outcome: Outcome, score_formatter: ScoreFormatter, after: Hindsight) -> list[str]:
    """Say what a person wants to know at the end, a line each."""
    lines = [f"finished: {outcome.reason}, after {outcome.seconds:.1f} s", *outcome.details]
    if outcome.heldout is not None:
        number, n_evaluations = outcome.heldout.number, len(outcome.evaluations)
        when = f"{outcome.heldout.passes:.3g} {outcome.unit}"
        lines.append(
            f"held-out {score_text(outcome.heldout, score_formatter)} "
            f"(the saved model, evaluation {number} of {n_evaluations}, after {when})"
        )
        if rest := score_formatter.rest(outcome.heldout.score):
            lines.append(f"held-out {rest}")
        if not outcome.warning:  # which says it
            lines += score_formatter.baseline(outcome.heldout.score)
        if score_formatter.task is Task.BINARY:  # of more classes, `evaluate` tells
            lines += score_formatter.confusion(outcome.heldout.score)
    else:
        lines.append(NEVER_SCORED)
    if outcome.test is not None:
        text = score_formatter.text(outcome.test)
        lines.append(f"test {text} ({outcome.test.n_examples:,} examples, scored once)")
        if rest := score_formatter.rest(outcome.test):
            lines.append(f"test {rest}")
    if outcome.warning:
        lines.append(f"warning: {outcome.warning}")
    if outcome.checkpoint is not None:
        lines.append(f"checkpoint: {outcome.checkpoint}")
        lines.append(f"to go on: {command('resume', outcome.run, folder=outcome.folder)}")
    lines += hindsight_lines(after)
    lines.append(f"figures: {command('report', outcome.run, folder=outcome.folder)}")
    return [*lines, f"model: {outcome.model_file}"]
