"""Runs of the same data that are in the folder already: how good they were."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distbelief.app.errors import DistBeliefError
from distbelief.app.models.metric import Metric, better
from distbelief.coordinator.progress.digits import TITLES, figure
from distbelief.coordinator.progress.program import command
from distbelief.coordinator.runs import summary
from distbelief.coordinator.runs.summary import Summary

#: Runs before this one that are looked at, the last so many.
MOST = 50


@dataclass(frozen=True)
class Judged:
    """A run, and the held-out figure of its model that decides."""

    run: str
    metric: Metric
    value: float

    @property
    def score(self) -> str:
        return f"{TITLES.get(self.metric, self.metric)} {figure(self.value)}"


def judged(run: str, outcome: Mapping[str, Any]) -> Judged | None:
    """A run by how it ended; None if no figure of it is known."""
    found = outcome.get("heldout") or {}
    metric = found.get("metric")
    value = found.get(metric)
    if metric not in set(Metric) or not isinstance(value, int | float):
        return None
    return Judged(run, Metric(metric), float(value))


def earlier(folder: Path, this: Judged, data: str) -> list[Judged]:
    """The runs before ``this`` one in the folder, of the same data and metric; oldest first."""
    names = sorted(path.parent.name for path in folder.glob("*/run.json"))
    found = []
    for name in [each for each in names if each < this.run][-MOST:]:
        seen = summary.read(folder / name) or _summary(folder / name)
        if seen is None or seen.data != data:
            continue
        other = judged(name, seen.outcome)
        if other is not None and other.metric is this.metric:
            found.append(other)
    return found


def _summary(folder: Path) -> Summary | None:
    """That of a run which has none yet; odd ones are no matter of another run."""
    from distbelief.coordinator.runs.folder import RunFolder  # which checks all of a run.json

    with suppress(DistBeliefError, KeyError):
        document = RunFolder(folder).read()
        return None if document is None else summary.summarize(document)
    return None


def comparison(folder: Path, this: Judged | None, data: str) -> str:
    """A sentence that puts a run beside those before it; empty if there are none."""
    others = [] if this is None else earlier(folder, this, data)
    if this is None or not others:
        return ""
    last, best = others[-1], others[0]
    for other in others:
        best = other if better(other.metric, other.value, best.value) else best
    worse = better(this.metric, last.value, this.value)
    than = "as good as" if this.value == last.value else "worse than" if worse else "better than"
    text = f"{than} the run before, {last.run}: {last.score}"
    if best != last:
        text += f"; the best of {len(others)} before, {best.run}: {best.score}"
    return f"{text}; beside it: {command('report', last.run, this.run, folder=folder)}"
