"""A run at a glance, as data."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distbelief.app.errors import ExitCode
from distbelief.app.models.metric import Metric
from distbelief.coordinator.progress.program import FOLDER, command
from distbelief.coordinator.runs.ids import began

if TYPE_CHECKING:  # whoever lists runs that ended draws none
    from distbelief.coordinator.views.snapshot import ProgressSnapshot


@dataclass(frozen=True)
class Overview:
    """A run at a glance.

    ``state`` is a :class:`~distbelief.app.runs.snapshot.RunState`, or "dead" where neither
    servers nor an end are known: it can be resumed. ``snapshot`` is what its screens draw,
    None before its coordinator told anything. ``idle_s`` is for how long its servers have not
    heard of it, None if they do not know it, ``goes_s`` when they will remove it, None if never.
    ``folder`` is where runs are.
    ``metric`` and ``score`` are those of the model that was kept, or of the best one so far.
    ``model_file`` is its saved model, None if there is none.
    ``problem`` says why nothing is known of a run whose state is "unreadable".
    """

    run: str
    state: str
    algorithm: str
    model: str
    data: str
    coordinator: str | None
    snapshot: ProgressSnapshot | None
    outcome: dict[str, Any]
    checkpoints: list[str]
    events: list[str]
    idle_s: float | None = None
    goes_s: float | None = None
    folder: Path = Path(FOLDER)
    problem: str = ""
    name: str | None = None
    note: str = ""
    model_file: Path | None = None

    @property
    def began(self) -> float | None:
        """When it began, in seconds since 1970."""
        return began(self.run)

    @property
    def when(self) -> str:
        """When it began, in words; empty if that is not known."""
        at = self.began
        return "" if at is None else time.strftime("%d %b %H:%M", time.localtime(at))

    @property
    def seconds(self) -> float | None:
        """For how long it was trained, as far as is known."""
        if "seconds" in self.outcome:
            return float(self.outcome["seconds"])
        return self.snapshot.seconds if self.snapshot is not None else None

    @property
    def diverged(self) -> bool:
        """Whether its numbers left what can be held: there is no model."""
        return self.outcome.get("exit_code") == ExitCode.DIVERGED

    @property
    def metric(self) -> Metric | None:
        """What decides which of its models is best; None if none was scored."""
        known: list[str] = list(Metric)
        if (kept := self.outcome.get("heldout")) is not None:
            # Older programs did not say it, and noted the figure that decides first.
            told = kept.get("metric", next((name for name in kept if name in known), None))
        else:
            seen = self.snapshot and self.snapshot.heldout
            told = seen.metric if seen else None
        return Metric(told) if told in known else None

    @property
    def score(self) -> float | None:
        """The value of that metric; of a run that diverged none counts."""
        if self.diverged:
            return None
        if (kept := self.outcome.get("heldout")) is not None:
            return kept.get(self.metric) if self.metric is not None else None
        seen = self.snapshot and self.snapshot.heldout
        return seen.best if seen else None

    @property
    def going_on(self) -> str:
        """The command that goes on with it."""
        return command("resume", self.run, folder=self.folder)

    def to_json(self) -> dict[str, Any]:
        return {
            "run": self.run,
            "name": self.name,
            "note": self.note,
            "state": self.state,
            "began": self.began,
            "seconds": self.seconds,
            "metric": self.metric,
            "score": self.score,
            "algorithm": self.algorithm,
            "model": self.model,
            "data": self.data,
            "coordinator": self.coordinator,
            "moment": None if self.snapshot is None else self.snapshot.to_json(),
            "outcome": self.outcome,
            "checkpoints": self.checkpoints,
            "events": self.events,
            "idle_s": self.idle_s,
            "goes_s": self.goes_s,
            "model_file": self.model_file and str(self.model_file),
            "problem": self.problem,
        }
