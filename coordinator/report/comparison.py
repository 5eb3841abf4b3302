"""Runs beside one another: the best one first, and in what they differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from distbelief.app.models.metric import Metric
from distbelief.coordinator.progress.digits import TITLES, figure
from distbelief.coordinator.report.history import History
from distbelief.coordinator.report.plots.learning import metric
from distbelief.coordinator.report.tables import settings

#: Settings that say nothing of how a run was trained.
_ASIDE = {"name", "note", "folder", "output"}


@dataclass(frozen=True)
class ComparedRuns:
    """A table: the names of its columns, and the texts of each run, the best one first."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def by_score(histories: Sequence[History]) -> list[History]:
    """Runs of one metric together, the best one first; those without a score, or model, last."""
    return sorted(histories, key=_rank)


def compare(histories: Sequence[History]) -> ComparedRuns:
    """Score, length, end and note of each run, and the settings in which they differ."""
    differ = [
        row for row in settings(histories) if row.name not in _ASIDE and len(set(row.texts)) > 1
    ]
    places = {id(history): place for place, history in enumerate(histories)}
    rows = []
    for history in by_score(histories):
        place = places[id(history)]
        ended = str(history.outcome.get("reason") or history.outcome.get("state") or "not yet")
        ended = "diverged" if history.diverged else ended
        seconds = float(history.outcome.get("seconds", history.ended_s))
        facts = (history.run, _score(history), f"{seconds:.1f}", ended)
        note = str(history.config.get("note") or "")
        rows.append((*facts, note, *(row.texts[place] for row in differ)))
    columns = ("run", "held-out", "seconds", "ended", "note", *(row.name for row in differ))
    shown = [any(row[index] for row in rows) for index in range(len(columns))]
    return ComparedRuns(_kept(columns, shown), tuple(_kept(row, shown) for row in rows))


def _kept(texts: Sequence[str], shown: Sequence[bool]) -> tuple[str, ...]:
    return tuple(text for text, there in zip(texts, shown, strict=True) if there)


def _value(history: History) -> tuple[str, float]:
    """The figure that decides, of the model that was saved, or of the last evaluation."""
    name, noted = metric(history), history.outcome.get("heldout") or {}
    if history.diverged:
        return name, math.nan
    last = next((each.measures for each in reversed(history.heldout) if each.finite), {})
    value = noted.get(name, last.get(name))
    return name, math.nan if value is None else float(value)


def _rank(history: History) -> tuple[str, float]:
    name, value = _value(history)
    if math.isnan(value):
        return "~", math.inf
    higher = name in set(Metric) and not Metric(name).lower_is_better
    return name, -value if higher else value


def _score(history: History) -> str:
    name, value = _value(history)
    return "" if math.isnan(value) else f"{TITLES.get(name, name)} {figure(value)}"
