"""A training as people see it: as it goes, at its end, and from another terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.table import Table
from rich.text import Text

from distbelief.app.models.model import Task
from distbelief.app.settings.durations import duration_text
from distbelief.coordinator.progress.callbacks import Callbacks
from distbelief.coordinator.progress.outcome import Outcome
from distbelief.coordinator.progress.program import command
from distbelief.coordinator.progress.scores import ScoreFormatter, brief
from distbelief.coordinator.progress.status import Status
from distbelief.coordinator.views.figures import figures
from distbelief.coordinator.views.overview import Overview
from distbelief.coordinator.views.panel import Panel
from distbelief.coordinator.views.screen import screen
from distbelief.coordinator.views.tracker import ProgressTracker, score_text


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


def summarize(outcome: Outcome, score_formatter: ScoreFormatter) -> list[str]:
    """Say what a person wants to know at the end, a line each."""
    lines = [f"finished: {outcome.reason}, after {outcome.seconds:.1f} s", *outcome.details]
    if outcome.heldout is not None:
        number, n_evaluations = outcome.heldout.number, len(outcome.evaluations)
        when = f"{outcome.heldout.passes:.3g} {outcome.unit}"
        lines.append(
            f"held-out {score_text(outcome.heldout, score_formatter)} "
            f"(evaluation {number} of {n_evaluations}, after {when})"
        )
        if rest := score_formatter.rest(outcome.heldout.score):
            lines.append(f"held-out {rest}")
        lines += score_formatter.baseline(outcome.heldout.score)
        if score_formatter.task is Task.BINARY:  # of more classes, `evaluate` tells
            lines += score_formatter.confusion(outcome.heldout.score)
    if outcome.test is not None:
        text = score_formatter.text(outcome.test)
        lines.append(f"test {text} ({outcome.test.n_examples:,} examples, scored once)")
        if rest := score_formatter.rest(outcome.test):
            lines.append(f"test {rest}")
    if outcome.checkpoint is not None:
        lines.append(f"checkpoint: {outcome.checkpoint}")
        lines.append(f"to go on: {command('resume', outcome.run, folder=outcome.folder)}")
    lines.append(f"figures: {command('report', outcome.run, folder=outcome.folder)}")
    return [*lines, f"model: {outcome.model_file}"]


def describe_run(seen: Overview) -> list[str]:
    """Describe a run at a glance, a fact in each line."""
    lines = [f"run {seen.run}: {seen.state}, {seen.algorithm} of {seen.model} on {seen.data}"]
    if seen.coordinator is not None:
        lines.append(f"coordinator: {seen.coordinator}")
    facts = (dict(figures(seen.snapshot)) if seen.snapshot is not None else {}) | seen.outcome
    facts.pop("state", None)  # the first line says it
    if (heldout := facts.pop("heldout", None)) is not None:
        facts["held-out"] = brief(heldout)
    if (test := facts.pop("test", None)) is not None:
        facts["test"] = brief(test)
    lines += [f"{name}: {value}" for name, value in facts.items()]
    if seen.checkpoints:
        lines.append(f"checkpoints: {len(seen.checkpoints)}, the last is {seen.checkpoints[-1]}")
    lines += [f"event: {event}" for event in seen.events]
    if seen.goes_s is not None:
        lines.append(f"on servers: for another {duration_text(max(0.0, seen.goes_s))}")
    if seen.state in ("dead", "stopped", "failed"):
        lines.append(f"to go on: {seen.going_on}")
    return lines


def tabulate_runs(runs: Sequence[Overview]) -> Table:
    """Put runs into a table, a line each."""
    table = Table(box=None, pad_edge=False)
    going = any(each.goes_s is not None for each in runs)
    titles = ("run", "state", "algorithm", "model", "data", "progress", "goes")
    for title in titles if going else titles[:-1]:
        table.add_column(title, no_wrap=True)
    for each in runs:
        first = list(figures(each.snapshot))[:1] if each.snapshot is not None else []
        progress = "  ".join(f"{name} {text}" for name, text in first)
        what = (each.algorithm, each.model, each.data)
        goes = "" if each.goes_s is None else f"in {duration_text(max(0.0, each.goes_s))}"
        cells = (each.run, each.state, *what, progress, *([goes] if going else []))
        table.add_row(*map(Text, cells))  # as they are: no markup in them
    return table
