"""Figures of the saved model on held-out examples: ROC, calibration, predicted against true."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from distbelief.coordinator.report.curves import Curves, Pairs, RocCurve, Stretch
from distbelief.coordinator.report.hints import number
from distbelief.coordinator.report.history import History
from distbelief.coordinator.report.plots.plot import (
    Histories,
    Plot,
    colour,
    each_run,
    legend,
    named,
)
from distbelief.coordinator.report.plots.theme import MARKERS, Theme

#: Of an interval that holds a share in 95 of 100 cases.
DEVIATIONS = 1.96

#: The curves of one run by their lines: the first one is of all classes.
LINES = ("-", "--", "-.", ":")


def _has(name: str, histories: Histories) -> list[tuple[int, History, Curves]]:
    """Runs that have such curves, with their number."""
    found = ((index, each, each.curves) for index, each in enumerate(histories))
    return [(i, each, has) for i, each, has in found if has is not None and getattr(has, name)]


def _look(theme: Theme, index: int) -> dict[str, Any]:
    """Colour and marker of a run's points."""
    return {"color": colour(theme, index), "marker": MARKERS[index % len(MARKERS)]}


def _diagonal(axes: Axes, low: float, high: float, theme: Theme) -> None:
    axes.plot([low, high], [low, high], color=theme.faint, lw=0.9, ls=":", zorder=0.5, label="_")


def _roc(figure: Figure, histories: Histories, theme: Theme) -> None:
    axes = figure.add_subplot()
    _diagonal(axes, 0, 1, theme)
    found, alone = _has("roc", histories), len(histories) == 1
    for index, history, curves in found:
        for place, curve in enumerate(curves.roc if alone else curves.roc[:1]):
            label = named(histories, history, curve.name)
            axes.plot(
                curve.false_positive_rate,
                curve.true_positive_rate,
                color=colour(theme, max(index, place)),
                ls=LINES[place % len(LINES)],
                label=f"{label} (AUC {curve.auc:.4g})",
            )
    axes.set_xlabel("false positive rate")
    axes.set_ylabel("true positive rate")
    _square(axes)
    legend(figure, axes, histories)
    if len(found) == 1 and len(found[0][2].roc) == 1:
        axes.set_title(axes.get_legend_handles_labels()[1][0], loc="left", fontsize="small")


def _square(axes: Axes) -> None:
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_aspect("equal")


def interval(stretch: Stretch) -> tuple[float, float]:
    """Where the true share is in 95 of 100 cases (Wilson 1927)."""
    share, n, z = stretch.observed, stretch.examples, DEVIATIONS
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def _of(curves: Curves | None) -> str:
    """Of what the probabilities are."""
    name = None if curves is None else curves.of_class
    return "of the predicted class" if name is None else f"of class {name}"


def _calibration(figure: Figure, histories: Histories, theme: Theme) -> None:
    axes = figure.add_subplot()
    _diagonal(axes, 0, 1, theme)
    found = _has("calibration", histories)
    for index, history, curves in found:
        own, stretches = colour(theme, index), curves.calibration
        x = [each.predicted for each in stretches]
        if len(histories) == 1:
            low, high = zip(*map(interval, stretches), strict=True)
            axes.vlines(x, low, high, color=own, alpha=0.35, lw=5)
        label, observed = named(histories, history, "observed"), [e.observed for e in stretches]
        axes.plot(x, observed, label=label, markersize=5, **_look(theme, index))
    axes.set_xlabel(f"predicted probability {_of(found[0][2])}")
    axes.set_ylabel("share of examples where it was so")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
    _square(axes)
    legend(figure, axes, histories)


def _predicted(figure: Figure, histories: Histories, theme: Theme) -> None:
    axes, seen = figure.add_subplot(), []
    for index, history, curves in _has("pairs", histories):
        assert curves.pairs is not None
        true, predicted = curves.pairs.true, curves.pairs.predicted
        (points,) = axes.plot(true, predicted, ls="", markersize=3.5, **_look(theme, index))
        points.set(alpha=0.45, markeredgewidth=0, label=named(histories, history, "example"))
        seen += [*true, *predicted]
    _diagonal(axes, min(seen), max(seen), theme)
    axes.set_xlabel("true value")
    axes.set_ylabel("predicted value")
    legend(figure, axes, histories)


def _areas(found: Sequence[RocCurve]) -> str:
    return f"the area under the curve of {', '.join(f'{e.name} {e.auc:.4g}' for e in found)}."


def _worst(found: Sequence[Stretch]) -> str:
    """The stretch of probabilities that is off for most examples."""
    worst = max(found, key=lambda each: each.examples * abs(each.predicted - each.observed))
    return (
        f"what matters most: where {worst.predicted:.0%} were predicted it was so in "
        f"{worst.observed:.0%} of {worst.examples:,} examples."
    )


def _furthest(found: Pairs) -> str:
    true, predicted = np.asarray(found.true), np.asarray(found.predicted)
    place = int(np.abs(true - predicted).argmax())
    return (
        f"of {len(true):,} examples the one that is furthest off is {number(true[place])} and was "
        f"predicted as {number(predicted[place])}."
    )


_OF = "By at most 5,000 held-out examples, evenly taken, and the model that was saved."


def _plot(
    name: str,
    title: str,
    caption: str,
    has: str,
    draw: Callable[[Figure, Histories, Theme], None],
    tell: Callable[[Any], str],
    kind: Callable[[History], str] = lambda _: "",
) -> Plot:
    """A square figure of those runs that have such curves; ``tell`` puts one run's into words."""

    def told(history: History) -> str:
        found = getattr(history.curves, has, None)
        return tell(found) if found else "nothing of it was noted."

    return Plot(
        name,
        title,
        caption,
        lambda histories: bool(_has(has, histories)),
        draw,
        lambda histories: each_run(histories, told),
        height=lambda _: 4.2,
        kind=kind,
    )


PLOTS = (
    _plot(
        "roc",
        "ROC",
        "Of each threshold the share of a class that is found, over the share of the others that "
        "is taken for it; of several classes each against the rest, all of them together and "
        f"those that are told apart worst. {_OF}",
        "roc",
        _roc,
        _areas,
    ),
    _plot(
        "calibration",
        "Calibration",
        "Examples of about one predicted probability, and how many were so: on the dotted line "
        "probabilities can be taken at their word, below it the model is too sure. A bar is where "
        f"the share is in 95 of 100 cases. {_OF}",
        "calibration",
        _calibration,
        _worst,
        lambda history: f"probability {_of(history.curves)}",
    ),
    _plot(
        "predicted",
        "Predicted and true values",
        f"On the dotted line predictions are right. {_OF} At most 1,000 are drawn.",
        "pairs",
        _predicted,
        _furthest,
    ),
)
