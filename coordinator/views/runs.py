"""Runs beside one another: what each is, how good it is, when it was and how long it took."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from rich.text import Text

from distbelief.app.models.metric import Metric
from distbelief.app.settings.durations import duration_text
from distbelief.coordinator.progress.digits import TITLES, figure
from distbelief.coordinator.views.columns import tabulate
from distbelief.coordinator.views.overview import Overview


def _goodness(run: Overview) -> tuple[str, float]:
    """Runs of one metric together, the best one first, those without a score last."""
    if run.metric is None or run.score is None:
        return "~", math.inf
    return run.metric, run.score if run.metric.lower_is_better else -run.score


#: The orders in which runs can be listed.
SORTS: dict[str, Callable[[Overview], Any]] = {
    "when": lambda run: (run.began or 0.0, run.run),
    "score": _goodness,
    "time": lambda run: -1.0 if run.seconds is None else run.seconds,
    "name": lambda run: (run.name or "~", run.run),
}


#: What is shown first where there is no room for all of a run.
FIRST = ("run", "state", "score", "when", "took", "note", "model", "algorithm", "data", "progress")


def tabulate_runs(runs: Sequence[Overview], width: int | None = None) -> list[Text]:
    """Put runs into a table, a line each; see :func:`tabulate`."""
    rows = [_cells(run) for run in runs]
    return tabulate([[*rows[0]], *([*row.values()] for row in rows)], width, first=FIRST)


def _cells(run: Overview) -> dict[str, str]:
    return {
        "run": run.run,
        "state": "diverged" if run.diverged else run.state,
        "score": score_text(run.metric, run.score),
        "when": run.when,
        "took": "" if run.seconds is None else duration_text(run.seconds),
        "algorithm": run.algorithm,
        "model": run.model,
        "data": run.data,
        "progress": _progress(run),
        "goes": "" if run.goes_s is None else f"in {duration_text(max(0.0, run.goes_s))}",
        "note": run.note,
    }


def _progress(run: Overview) -> str:
    if run.snapshot is None:
        return ""
    from distbelief.coordinator.views.figures import figures  # of runs that go on

    return "  ".join(f"{name} {text}" for name, text in list(figures(run.snapshot))[:1])


def score_text(metric: Metric | None, score: float | None) -> str:
    """A score with the name of its metric; nothing where there is none."""
    if metric is None or score is None:
        return ""
    return f"{TITLES.get(metric, metric)} {figure(score)}"
