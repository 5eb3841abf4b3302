"""A training as people see it: as it goes, at its end, and from another terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from distbelief.app.models.model import Task
from distbelief.app.settings.durations import duration_text
from distbelief.coordinator.progress.callbacks import Callbacks
from distbelief.coordinator.progress.outcome import UNITS, Outcome
from distbelief.coordinator.progress.program import command
from distbelief.coordinator.progress.scores import NEVER_SCORED, ScoreFormatter, brief
from distbelief.coordinator.progress.status import Status
from distbelief.coordinator.views.figures import figures
from distbelief.coordinator.views.panel import Panel
from distbelief.coordinator.views.screen import screen
from distbelief.coordinator.views.tracker import ProgressTracker, score_text

if TYPE_CHECKING:  # what is known of runs that ended is not imported before a training begins
    from rich.console import Console

    from distbelief.coordinator.report.hindsight import Hindsight
    from distbelief.coordinator.views.overview import Overview

#: Figures of a training that goes on, which say nothing of one that ended.
GOING = ("left", "waiting")


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
    lines += _following(after)
    lines.append(f"figures: {command('report', outcome.run, folder=outcome.folder)}")
    return [*lines, f"model: {outcome.model_file}"]


def _following(after: Hindsight) -> Iterator[str]:
    if after.try_next:
        yield f"to try next: {after.try_next}"
    if after.earlier:
        sentence, _, beside = after.earlier.partition("; beside it: ")
        yield sentence
        if beside:
            yield f"beside it: {beside}"


def describe_run(seen: Overview, after: Hindsight) -> list[str]:
    """Describe a run at a glance, a fact in each line."""
    lines = [f"run {seen.run}: {seen.state}, {seen.algorithm} of {seen.model} on {seen.data}"]
    if seen.coordinator is not None:
        lines.append(f"coordinator: {seen.coordinator}")
    lines += [f"note: {seen.note}"] if seen.note else []
    facts = dict(figures(seen.snapshot)) if seen.snapshot is not None else {}
    if seen.outcome:
        facts = {name: facts[name] for name in facts if name not in GOING} | dict(_ending(seen))
    lines += [f"{name}: {value}" for name, value in facts.items()]
    lines += _following(after)
    if seen.model_file is not None:
        lines.append(f"model: {seen.model_file}")
        lines.append(f"figures: {command('report', seen.run, folder=seen.folder)}")
    if seen.checkpoints:
        lines.append(f"checkpoints: {len(seen.checkpoints)}, the last is {seen.checkpoints[-1]}")
    lines += [f"event: {event}" for event in seen.events]
    if seen.goes_s is not None:
        lines.append(f"on servers: for another {duration_text(max(0.0, seen.goes_s))}")
    if seen.state in ("dead", "stopped", "failed") and not seen.diverged:
        lines.append(f"to go on: {seen.going_on}")
    return lines


def _ending(seen: Overview) -> Iterator[tuple[str, str]]:
    """How a run ended, as (name, text)."""
    outcome, when = dict(seen.outcome), f" (begun {seen.when})" if seen.when else ""
    reason, seconds = outcome.pop("reason", ""), outcome.pop("seconds", None)
    took = "" if seconds is None else f"after {seconds:.1f} s{when}"
    if said := ", ".join(filter(None, (reason, took))):
        yield "ended", said
    kept = _kept(outcome.pop("kept", {}))
    for name, title, after in (("heldout", "held-out", kept), ("test", "test", "")):
        if (found := outcome.pop(name, None)) is not None:
            yield title, brief(found) + after
        elif name == "heldout" and seen.model_file is not None:
            yield title, NEVER_SCORED
    outcome.pop("state", None)  # the first line says it
    yield from ((name, str(value)) for name, value in outcome.items())


def _kept(kept: Mapping[str, float]) -> str:
    """Which evaluation is that of the model."""
    number, unit = (
        kept.get("evaluation"),
        next((each for each in kept if each in UNITS.values()), None),
    )
    if number is None or unit is None:
        return ""
    return f" (the saved model, evaluation {number:.0f}, after {kept[unit]:.3g} {unit})"
