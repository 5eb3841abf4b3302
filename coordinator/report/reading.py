"""From a run's folder to its :class:`History`; nothing else is asked, no server, no network."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from distbelief.app.errors import ConfigError
from distbelief.app.runs.snapshot import RunState
from distbelief.coordinator.progress.events import Event
from distbelief.coordinator.progress.program import command
from distbelief.coordinator.report.collector import Collector
from distbelief.coordinator.report.history import History, Rates
from distbelief.coordinator.report.secrets import without_secrets
from distbelief.coordinator.runs import journal
from distbelief.coordinator.runs.earlier import comparison, judged
from distbelief.coordinator.runs.folder import RunFolder
from distbelief.coordinator.sandblaster.dispatch_log import MOST_TOLD


def read(folder: Path, *, running: bool = False) -> History:
    """Read the run in ``folder``, of which its coordinator says whether it is ``running``.

    Raises:
        ConfigError: there is none, or it cannot be read.
    """
    from distbelief.coordinator.report import curves  # for reports alone

    document, collected = _collected(folder)
    return replace(
        _outline(folder, document, collected),
        rates=_rates(folder, document, collected),
        running=running,
        notes=_notes(collected, document["outcome"], RunFolder(folder).journal.exists(), running),
        curves=curves.understood(RunFolder(folder).curves()),
    )


def outline(folder: Path) -> History:
    """Read the run without what is only drawn; raises like :func:`read`."""
    return _outline(folder, *_collected(folder))


def _collected(folder: Path) -> tuple[dict[str, Any], Collector]:
    """What was written down of the run, without secrets, and its events."""
    run = RunFolder(folder)
    document = run.read()
    if document is None:
        raise ConfigError(
            f"there is no run {folder.name} in {folder.parent.resolve()}: "
            f"'{command('runs', folder=folder.parent)}' lists those that are there, --folder names "
            "another place"
        )
    collected = Collector()
    for event in journal.read(run.journal, collected.skip):
        collected.add(event)
    return without_secrets(document), collected


def _outline(folder: Path, document: Mapping[str, Any], collected: Collector) -> History:
    config = document["record"]["config"]
    history = _history(folder.name, config, document["cluster"], document["outcome"], collected)
    return replace(
        history,
        earlier=_earlier(folder, document),
        folder=folder.parent,
        model_file=model if (model := _model_file(folder, document)).is_file() else None,
    )


def of_events(
    run: str, config: Mapping[str, Any], outcome: Mapping[str, Any], events: Iterable[Event]
) -> History:
    """The history of a run of which a program has the events."""
    collected = Collector()
    for event in events:
        collected.add(event)
    return _history(run, config, {}, outcome, collected)


def _history(
    run: str,
    config: Mapping[str, Any],
    cluster: Mapping[str, Any],
    outcome: Mapping[str, Any],
    collected: Collector,
) -> History:
    return History(
        run=run,
        config=config,
        cluster=cluster,
        outcome=outcome,
        environment=collected.environment,
        units=collected.units,
        iterations=collected.iterations,
        heldout=collected.heldout,
        evaluations=collected.evaluations,
        marks=collected.marks,
        ended_s=collected.clock.now,
    )


def _model_file(folder: Path, document: Mapping[str, Any]) -> Path:
    return Path(document["cluster"].get("output") or folder / "model.safetensors")


def _earlier(folder: Path, document: Mapping[str, Any]) -> str:
    """The run beside those before it, in a sentence; without a folder's name no other is known."""
    this = judged(folder.name, document["outcome"])
    return comparison(folder.parent, this, str(document["record"]["config"].get("data")))


def _rates(folder: Path, document: Mapping[str, Any], collected: Collector) -> list[Rates]:
    from distbelief.coordinator.report import rates  # which reads models

    rule = rates.rule_of(document["record"]["config"])
    if rule is None:
        return []
    found = list(rates.rates_in_checkpoints(folder, rule, collected.shifts))
    if document["outcome"].get("state") == RunState.FINISHED:
        model = _model_file(folder, document)
        pushes = sum(unit.pushes for unit in collected.units)
        found += rates.rates_in_model(model, rule, collected.clock.now, pushes)
    return sorted(found, key=lambda each: each.time_s)


def _notes(
    collected: Collector, outcome: Mapping[str, Any], journal_exists: bool, running: bool
) -> list[str]:
    notes = []
    if not journal_exists:
        notes.append(
            "There is no journal (events.jsonl) in the run's folder: nothing can be drawn."
        )
    elif not (collected.units or collected.iterations or running):
        notes.append("The journal knows of no work that was done.")
    if not outcome and journal_exists and not running:
        notes.append(
            "No end is written down: the run goes on, or its coordinator was killed. This is how "
            "far it was when the report was made."
        )
    if infinite := sum(
        unit.examples > 0 and not math.isfinite(unit.loss) for unit in collected.units
    ):
        notes.append(f"The losses of {infinite:,} units are not finite, and not drawn.")
    numbers = {each.number for each in collected.evaluations}
    if missing := max(numbers, default=0) - len(numbers):
        notes.append(
            f"The portions of {missing:,} evaluations are not in the journal: after {MOST_TOLD:,} "
            "dispatches only evaluations that sent a portion again are noted, and none that was "
            "broken off. The work of workers is not complete."
        )
    if collected.damaged:
        notes.append(f"{collected.damaged} events of the journal could not be understood.")
    return notes
