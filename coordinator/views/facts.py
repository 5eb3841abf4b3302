"""A run at a glance, a fact in each line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from distbelief.app.settings.durations import duration_text
from distbelief.coordinator.progress.digits import NEVER_SCORED, brief
from distbelief.coordinator.progress.outcome import UNITS
from distbelief.coordinator.progress.program import command

if TYPE_CHECKING:  # neither is needed to begin a training
    from distbelief.coordinator.report.hindsight import Hindsight
    from distbelief.coordinator.views.overview import Overview

#: Figures of a training that goes on, which say nothing of one that ended.
GOING = ("left", "waiting")


def hindsight_lines(after: Hindsight) -> Iterator[str]:
    """Say what follows from a run that has ended."""
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
    facts = _progress(seen)
    if seen.outcome:
        facts = {name: facts[name] for name in facts if name not in GOING} | dict(_ending(seen))
    lines += [f"{name}: {value}" for name, value in facts.items()]
    lines += hindsight_lines(after)
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


def _progress(seen: Overview) -> dict[str, str]:
    if seen.snapshot is None:
        return {}
    from distbelief.coordinator.views.figures import figures  # of runs whose server was asked

    return dict(figures(seen.snapshot))


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
