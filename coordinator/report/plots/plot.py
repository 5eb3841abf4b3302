"""A figure of a report, and the set-up of axes in all of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from distbelief.coordinator.report.arrays import Array
from distbelief.coordinator.report.hints import number, tell
from distbelief.coordinator.report.history import History
from distbelief.coordinator.report.plots.theme import Theme

Histories = Sequence[History]

#: The ends of a logarithmic axis that is short are less than so many times one another.
NARROW = 5.0

#: Kinds of marks that are drawn through a figure over time: their names and lines.
MARKS: dict[str, tuple[str, Any]] = {
    "handover": ("L-BFGS takes over", "-"),
    "resumed": ("resumed", ":"),
    "restarted": ("process started again", (0, (4, 1, 1, 1, 1, 1))),
    "lost": ("data lost", "--"),
    "resent": ("sent again", "-."),
}

#: Characters of what a mark says.
MOST_TOLD = 70

#: More of one kind than this would hide what is drawn.
MOST_MARKS = 20


@dataclass(frozen=True)
class Plot:
    """A figure of one run or of several.

    Args:
        name: of its file.
        fits: whether the runs have something to draw here.
        draw: into a figure that is empty.
        told: the figure in words, for those who do not see it.
        wide: as wide as the page, else half of it.
        height: in inches, for those runs.
        kind: of a run; those of one kind share the axes, others have a figure of their own.
    """

    name: str
    title: str
    caption: str
    fits: Callable[[Histories], bool]
    draw: Callable[[Figure, Histories, Theme], None]
    told: Callable[[Histories], str]
    wide: bool = False
    height: Callable[[Histories], float] = lambda _: 3.4
    kind: Callable[[History], str] = lambda _: ""


@dataclass(frozen=True)
class Drawing:
    """A plot of the runs of one ``kind``; it is empty where all that are drawn are of one."""

    plot: Plot
    kind: str
    runs: Histories
    every: Histories

    @property
    def name(self) -> str:
        """That of its file."""
        return "-".join(filter(None, (self.plot.name, self.kind.replace(" ", "-"))))

    @property
    def title(self) -> str:
        return f"{self.plot.title}: {self.kind}" if self.kind else self.plot.title

    def draw(self, figure: Figure, theme: Theme) -> None:
        """Draw with the place of each run among all: it has one colour on the whole page."""
        shown = {each.run for each in self.runs}
        runs = [each if each.run in shown else each.unseen() for each in self.every]
        self.plot.draw(figure, runs, theme)

    def told(self) -> str:
        return self.plot.told(self.runs)


def drawings(plot: Plot, histories: Histories) -> list[Drawing]:
    """The figures of a plot: one, or one for each kind of run that fits it."""
    kinds = {plot.kind(each) for each in histories if plot.fits([each])}
    if len(kinds) < 2:
        return [Drawing(plot, "", histories, histories)] if plot.fits(histories) else []
    return [
        Drawing(plot, kind, [each for each in histories if plot.kind(each) == kind], histories)
        for kind in sorted(kinds, key=str.lower)
    ]


def colour(theme: Theme, index: int) -> str:
    return theme.series[index % len(theme.series)]


def over_time(axes: Axes) -> None:
    axes.set_xlabel("training time (s)")
    axes.set_xlim(left=0)


def over_examples(axes: Axes) -> None:
    axes.set_xlabel("training examples seen")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.set_xlim(left=0)


def log_if_wide(axes: Axes, values: Sequence[float], decades: float = 1.5) -> None:
    """A logarithmic scale where positive values differ by orders of magnitude."""
    finite = [value for value in values if math.isfinite(value)]
    if finite and min(finite) > 0 and math.log10(max(finite) / min(finite)) > decades:
        axes.set_yscale("log")
        plain_logs(axes.yaxis)


def plain_logs(axis: Axis) -> None:
    """Numbers of a logarithmic scale as they are written: formulas are not parsed here."""
    low, high = axis.get_view_interval()
    subs = (1.0,) if high / low > 1e3 else (1.0, 2.0, 5.0)
    if high / low < NARROW:  # in which there is hardly one of those
        axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    else:
        axis.set_major_locator(LogLocator(subs=subs, numticks=9))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def legend(figure: Figure, axes: Axes, histories: Histories) -> None:
    """Below the axes, where it hides nothing; none if there is one thing to see of one run."""
    handles, labels = axes.get_legend_handles_labels()
    if len(labels) > 1 or (labels and len(histories) > 1):
        columns = 1 if max(map(len, labels)) > 30 else 2 if max(map(len, labels)) > 16 else 4
        figure.legend(handles, labels, loc="outside lower center", ncols=columns)


def marked(axes: Axes, histories: Histories, theme: Theme) -> None:
    """Mark what happened to a run by upright lines; of several runs that would be too much."""
    if len(histories) > 1:
        return
    for kind, (name, line) in MARKS.items():
        found = [each for each in histories[0].marks if each.kind == kind]
        for index, mark in enumerate(found[:MOST_MARKS]):
            drawn = axes.axvline(mark.time_s, color=theme.faint, ls=line, lw=1.0, zorder=0.5)
            drawn.set_label("_" if index else name)
            tell(drawn, f"{mark.text[:MOST_TOLD]}\n{axes.get_xlabel()}: {number(mark.time_s)}")


def named(histories: Histories, history: History, alone: str) -> str:
    """The name of a line: of several runs the run, of one what it shows."""
    return history.run if len(histories) > 1 else alone


def lane_inches(lanes: int) -> float:
    """Height of one among so many: a few are roomy."""
    return 0.34 if lanes <= 12 else 0.2


def columns(points: Sequence[tuple[float, ...]], count: int) -> list[Array]:
    """Points as one array for each coordinate."""
    table = np.asarray(points, np.float64).reshape(-1, count)
    return [table[:, index] for index in range(count)]


def each_run(histories: Histories, tell: Callable[[History], str]) -> str:
    """A sentence for each run."""
    several = len(histories) > 1
    return " ".join(
        f"Run {each.run}: {tell(each)}" if several else tell(each) for each in histories
    )
