"""The course of one training in one figure, for a program that has its result."""

from __future__ import annotations

import base64
import io

import matplotlib
from matplotlib.figure import Figure

from distbelief.coordinator.report.history import History
from distbelief.coordinator.report.plots import learning
from distbelief.coordinator.report.plots.theme import LIGHT, Theme

#: Inches of each part.
WIDTH, HEIGHT = 5.4, 3.4

#: Dots in an inch.
DOTS = 110

#: What is drawn, if the run has it.
PARTS = ("loss-over-time", "metric-over-time")


class CourseFigure(Figure):
    """A figure that notebooks show where it is the value of a cell."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=DOTS)
        return buffer.getvalue()


def course(history: History, theme: Theme = LIGHT) -> CourseFigure:
    """Loss and held-out score over time, side by side."""
    shown = [plot for plot in learning.PLOTS if plot.name in PARTS and plot.fits([history])]
    with matplotlib.rc_context(theme.settings):
        figure = CourseFigure(figsize=(WIDTH * max(1, len(shown)), HEIGHT), layout="constrained")
        parts = figure.subfigures(1, max(1, len(shown)), squeeze=False)[0]
        for part, plot in zip(parts, shown, strict=False):
            plot.draw(part, [history], theme)
            part.suptitle(plot.title)
    return figure


def picture(history: History) -> str:
    """The figure as a data URI."""
    png = base64.b64encode(course(history)._repr_png_()).decode()
    return f"data:image/png;base64,{png}"
