"""Runs beside one another: what each is, how good it is, when it was and how long it took."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from distbelief.app.models.criterion import Metric
from distbelief.app.settings.durations import duration_text
from distbelief.coordinator.progress.scores import TITLES, figure
from distbelief.coordinator.views.figures import figures
from distbelief.coordinator.views.overview import Overview


def _goodness(run: Overview) -> tuple[str, float]:
    """Runs of one metric together, the best one first, those without a score last."""
    if run.metric is None or run.score is None:
        return "~", math.inf
    return run.metric, run.score if run.metric.lower_is_better else -run.score


#: Between columns.
GAP = 2

#: The orders in which runs can be listed.
SORTS: dict[str, Callable[[Overview], Any]] = {
    "when": lambda run: (run.began or 0.0, run.run),
    "score": _goodness,
    "time": lambda run: -1.0 if run.seconds is None else run.seconds,
    "name": lambda run: (run.name or "~", run.run),
}


#: What of a run is shown, in this order, and how much room it is given: the first one first.
COLUMNS = {"run": 0, "state": 1, "score": 2, "when": 3, "took": 4, "algorithm": 7, "model": 6}
COLUMNS |= {"data": 8, "progress": 9, "goes": 10, "note": 5}


def tabulate_runs(runs: Sequence[Overview], width: int | None = None) -> list[RenderableType]:
    """Put runs into a table, a line each, of the columns in which there is something.

    In ``width`` characters, if they are limited, there are as many whole columns as fit: an id
    that is cut is of no use to the next command. A line says which are not there.
    """
    rows = [_cells(run) for run in runs]
    widths = {
        title: max(cell_len(title), *(cell_len(row[title]) for row in rows))
        for title in COLUMNS
        if any(row[title] for row in rows)
    }
    room, shown = math.inf if width is None else width, set[str]()
    for title in sorted(widths, key=COLUMNS.__getitem__):
        room -= widths[title] + GAP
        if room >= -GAP or not shown:
            shown.add(title)
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0))
    for title in filter(shown.__contains__, widths):
        table.add_column(title, no_wrap=True, min_width=widths[title])
    for row in rows:  # as they are: no markup in them
        table.add_row(*(Text(row[title]) for title in widths if title in shown))
    left_out = ", ".join(title for title in widths if title not in shown)
    return [table, *([Text(f"wider terminals and pipes show {left_out}")] if left_out else [])]


def _cells(run: Overview) -> dict[str, str]:
    first = list(figures(run.snapshot))[:1] if run.snapshot is not None else []
    return {
        "run": run.run,
        "state": run.state,
        "score": score_text(run.metric, run.score),
        "when": run.when,
        "took": "" if run.seconds is None else duration_text(run.seconds),
        "algorithm": run.algorithm,
        "model": run.model,
        "data": run.data,
        "progress": "  ".join(f"{name} {text}" for name, text in first),
        "goes": "" if run.goes_s is None else f"in {duration_text(max(0.0, run.goes_s))}",
        "note": run.note,
    }


def score_text(metric: Metric | None, score: float | None) -> str:
    """A score with the name of its metric; nothing where there is none."""
    if metric is None or score is None:
        return ""
    return f"{TITLES.get(metric, metric)} {figure(score)}"
