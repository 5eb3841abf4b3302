"""The result of a training, in the hands of a program or of a notebook."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distbelief.app.settings.extras import needed
from distbelief.coordinator.inference.trained_model import TrainedModel
from distbelief.coordinator.problem.problem import Problem
from distbelief.coordinator.progress.digits import brief
from distbelief.coordinator.progress.events import Event
from distbelief.coordinator.progress.outcome import EndReason, Outcome

if TYPE_CHECKING:  # drawing needs an extra
    from matplotlib.figure import Figure

    from distbelief.coordinator.report.history import History


@dataclass(frozen=True)
class Timings:
    """Time that a training took, in seconds.

    ``data`` is until the data were open, ``start`` until the first values lay on the servers,
    which includes their start where they are embedded, ``end`` from the last step until the
    model was saved.
    """

    data: float
    start: float
    training: float
    end: float

    @property
    def total(self) -> float:
        return self.data + self.start + self.training + self.end


@dataclass(frozen=True)
class Result:
    """The result of a training.

    Attributes:
        run: its id.
        reason: why it ended.
        model: the trained model.
        heldout: figures of the model on held-out data, None without any: accuracy, loss, ...
        test: likewise on the data of the test, which were scored once, at the end.
        evaluations: for each held-out evaluation its ``passes`` (Sandblaster: iterations),
            ``seconds`` and figures.
        history: everything that happened, oldest first.
        details: what the algorithm has to say, a line each.
        warning: a sentence if the model is no better than always the same answer; else empty.
        timings: where the time went.
        model_file: where the model was saved.
        checkpoint: that from which an interrupted run goes on, else None.
    """

    run: str
    reason: EndReason
    model: TrainedModel
    heldout: Mapping[str, Any] | None
    test: Mapping[str, Any] | None
    evaluations: tuple[Mapping[str, Any], ...] = field(repr=False)
    history: tuple[Event, ...] = field(repr=False)
    details: tuple[str, ...] = field(repr=False)
    timings: Timings
    model_file: Path
    checkpoint: Path | None
    warning: str = ""

    def plot(self) -> Figure:
        """Draw loss and held-out score in the course of the training: a figure of matplotlib.

        Raises:
            ConfigError: matplotlib is not installed.
        """
        needed("matplotlib", "drawing needs the package matplotlib", "report")
        from distbelief.coordinator.report.course import course

        return course(self._history())

    def _repr_html_(self) -> str:
        """A table for notebooks, and the figure where it can be drawn."""
        facts = {"run": self.run, "ended": str(self.reason), "seconds": f"{self.timings.total:.1f}"}
        facts |= {"held-out": brief(self.heldout)} if self.heldout else {}
        facts |= {"test": brief(self.test)} if self.test else {}
        facts |= {"model": f"{self.model!r} in {self.model_file}"}
        facts |= {"warning": self.warning} if self.warning else {}
        facts |= {"to try next": told} if (told := self._try_next()) else {}
        rows = "".join(
            f'<tr><th>{name}</th><td style="text-align: left">{html.escape(text)}</td></tr>'
            for name, text in facts.items()
        )
        return f"<table>{rows}</table>{self._picture()}"

    def _picture(self) -> str:
        if find_spec("matplotlib") is None:
            return ""
        from distbelief.coordinator.report.course import picture

        return f'<img alt="course of the training" src="{picture(self._history())}">'

    def _try_next(self) -> str:
        from distbelief.coordinator.report.hindsight import hindsight

        return hindsight(self._history()).try_next

    def _history(self) -> History:
        from distbelief.coordinator.report.reading import of_events

        config = self.model.saved.facts.get("config", {})
        ends = (each.fields for each in self.history if each.kind == "end")
        return of_events(self.run, config, next(ends, {}), self.history)


def result_of(
    problem: Problem,
    outcome: Outcome,
    model: TrainedModel,
    history: tuple[Event, ...],
    timings: Timings,
) -> Result:
    measures = problem.score_formatter.measures
    heldout = None if outcome.heldout is None else measures(outcome.heldout.score)
    return Result(
        run=outcome.run,
        reason=outcome.reason,
        model=model,
        heldout=heldout,
        test=None if outcome.test is None else measures(outcome.test),
        evaluations=tuple(
            {"passes": each.passes, "seconds": each.seconds, **measures(each.score)}
            for each in outcome.evaluations
        ),
        history=history,
        details=outcome.details,
        timings=timings,
        model_file=outcome.model_file,
        checkpoint=outcome.checkpoint,
        warning=outcome.warning,
    )
