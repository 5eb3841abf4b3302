"""The figures of a comparison, as the paper has them: its figures 4 and 5, and the rates."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from distbelief.coordinator.comparison.heat_map import heat_map
from distbelief.coordinator.comparison.methods import METHODS
from distbelief.coordinator.comparison.outcome import Costs, Outcome, Point
from distbelief.coordinator.comparison.summary import Row, Summary
from distbelief.coordinator.comparison.words import metric_name, number, replicas_text
from distbelief.coordinator.report.plots.plot import colour, plain_logs
from distbelief.coordinator.report.plots.theme import MARKERS, Theme


@dataclass(frozen=True)
class ComparisonFigure:
    """A figure: its ``name`` is that of its file, ``told`` what it shows in words."""

    name: str
    title: str
    caption: str
    fits: Callable[[Summary], bool]
    draw: Callable[[Summary, Figure, Theme], None]
    told: Callable[[Summary], str]
    height: Callable[[Summary], float]


def _style(theme: Theme, row: Row) -> dict[str, Any]:
    """Colour, line and marker of a method, told apart twice; processes alone are grey."""
    names = [method.name for method in METHODS if method.alone is row.method.alone]
    index = names.index(row.method.name)
    line = "--" if row.method.alone else ":" if row.method.batch else "-"
    own = theme.faint if row.method.alone else colour(theme, index)
    return {"color": own, "linestyle": line, "marker": MARKERS[index % len(MARKERS)]}


def _counts(summary: Summary) -> list[int]:
    """Numbers of replicas that have axes of their own."""
    found = {row.replicas for row in summary.rows if row.method.replicated}
    return sorted(found) or [1]


def _curves(
    over: Callable[[Costs], float],
    label: str,
    value: Callable[[Point], float],
    summary: Summary,
    figure: Figure,
    theme: Theme,
) -> None:
    """A curve for each method, in axes for each number of replicas; those alone are in all."""
    counts = _counts(summary)
    axes = figure.subplots(1, len(counts), sharey=True, squeeze=False)[0]
    for index, count in enumerate(counts):
        for row in summary.rows:
            if row.replicas == count or not row.method.replicated:
                _curve(axes[index], row, over, value, theme)
        axes[index].set_title(f"{count} replica{'s' if count > 1 else ''}", loc="left")
        axes[index].set_xlabel(label)
        axes[index].set_xscale("log")
        plain_logs(axes[index].xaxis)
    handles = {line.get_label(): line for each in axes for line in each.get_lines()}
    shown = {name: line for name, line in handles.items() if not str(name).startswith("_")}
    figure.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=3)


def _curve(
    axes: Axes,
    row: Row,
    over: Callable[[Costs], float],
    value: Callable[[Point], float],
    theme: Theme,
) -> None:
    """The seed in the middle as a line, the others faint."""
    middle = _middle(row)
    for outcome in row.outcomes:
        points = [each for each in outcome.points if over(each.costs) > 0]
        points = [each for each in points if math.isfinite(value(each))]
        if not points:
            continue
        style = _style(theme, row)
        faint = {} if outcome is middle else {"alpha": 0.3, "marker": "", "linewidth": 0.8}
        axes.plot(
            [over(each.costs) for each in points],
            [value(each) for each in points],
            **{
                **style,
                "markersize": 4,
                "markevery": max(1, len(points) // 8),
                "label": row.method.title if outcome is middle else None,
                **faint,
            },
        )


def _middle(row: Row) -> Outcome:
    """The outcome whose lowest loss is the (lower) median."""
    return sorted(row.outcomes, key=lambda each: each.loss)[(len(row.outcomes) - 1) // 2]


def _metric_curves(
    over: Callable[[Costs], float], label: str, summary: Summary, figure: Figure, theme: Theme
) -> None:
    _curves(over, label, lambda point: point.metric, summary, figure, theme)
    target, metric = summary.targets.value, summary.targets.metric
    shown = [each.metric for row in summary.rows for o in row.outcomes for each in o.points]
    finite = [each for each in shown if math.isfinite(each)]
    for axes in figure.axes if finite and math.isfinite(target) else ():
        axes.axhline(target, color=theme.faint, lw=0.8, ls="--")
        if not metric.lower_is_better:  # around where it is decided
            best = max(finite)
            above = max(best - target, 0.002)
            top = min(best + 2 * above, 1 + above / 5)  # accuracies and AUC are at most 1
            axes.set_ylim(max(min(finite), target - 8 * above), top)
    figure.axes[0].set_ylabel(f"held-out {metric_name(metric)}")


def _loss_curves(
    over: Callable[[Costs], float], label: str, summary: Summary, figure: Figure, theme: Theme
) -> None:
    _curves(over, label, lambda point: point.loss, summary, figure, theme)
    for axes in figure.axes:
        axes.axhline(summary.targets.loss, color=theme.faint, lw=0.8, ls="--")
    first = [o.points[0].loss for row in summary.rows for o in row.outcomes if o.points]
    figure.axes[0].set_yscale("log")
    if first:
        figure.axes[0].set_ylim(top=2 * max(first))
    plain_logs(figure.axes[0].yaxis)
    figure.axes[0].set_ylabel("training loss")


#: The resources of the paper's figure 5, here: their label, and of what.
RESOURCES: Sequence[tuple[str, Callable[[Costs], float]]] = (
    ("CPU seconds", lambda costs: costs.cpu_s),
    ("examples", lambda costs: costs.examples),
    ("MB to and from parameter servers", lambda costs: costs.bytes / 1e6),
)


def _resources(summary: Summary, figure: Figure, theme: Theme) -> None:
    """Median and spread of what each method needs, a row of marks each."""
    axes = figure.subplots(1, len(RESOURCES), sharey=True)
    rows = list(reversed(summary.rows))
    for place, (label, of) in zip(axes, RESOURCES, strict=True):
        for index, row in enumerate(rows):
            spread, style = row.to_value.spread(of), _style(theme, row)
            if math.isfinite(spread.median) and spread.median > 0:
                largest = spread.largest if math.isfinite(spread.largest) else spread.median
                place.plot([spread.least, largest], [index, index], color=style["color"], lw=1.2)
                place.plot(spread.median, index, color=style["color"], marker=style["marker"])
        place.set_xlabel(label)
        place.set_xscale("log")
        plain_logs(place.xaxis)
    axes[0].set_yticks(range(len(rows)), [_label(row) for row in rows], fontsize="small")
    axes[0].set_ylim(-0.6, len(rows) - 0.4)


def _label(row: Row) -> str:
    text = f"{row.method.name}, {row.replicas}" if row.method.replicated else row.method.name
    missed = row.seeds - row.to_value.count
    return f"{text} ({missed} of {row.seeds} never)" if missed else text


def _rates(summary: Summary, figure: Figure, theme: Theme) -> None:
    """The training loss at the end of each tuning trial: rates across, methods down."""
    rows = [row for row in summary.rows if row.tuning]
    rates = sorted({each.trial.rate or math.nan for row in rows for each in row.tuning})
    table = np.full((len(rows), len(rates)), math.nan)
    for index, row in enumerate(rows):
        for each in row.tuning:
            table[index, rates.index(each.trial.rate or math.nan)] = each.last_loss
    heat_map(figure, theme, table, [f"{rate:g}" for rate in rates], [_name(row) for row in rows])


def _name(row: Row) -> str:
    return f"{row.method.name}, {row.replicas}"


def _told_curves(summary: Summary) -> str:
    name = metric_name(summary.targets.metric)
    parts = [
        f"{row.method.title}, {replicas_text(row)}: best {name} {row.best.median:.4g}"
        for row in summary.rows
    ]
    return "; ".join(parts) + "."


def _told_losses(summary: Summary) -> str:
    parts = [
        f"{row.method.title}, {replicas_text(row)}: lowest loss "
        f"{number(statistics.median(each.loss for each in row.outcomes))}"
        for row in summary.rows
    ]
    return "; ".join(parts) + "."


def _told_resources(summary: Summary) -> str:
    parts = []
    for row in summary.rows:
        figures = [f"{number(row.to_value.spread(of).median)} {label}" for label, of in RESOURCES]
        parts.append(f"{row.method.title}, {replicas_text(row)}: {', '.join(figures)}")
    return "; ".join(parts) + "."


def _told_rates(summary: Summary) -> str:
    parts = [f"{_name(row)}: best at {row.rate:g}" for row in summary.rows if row.tuning]
    return "; ".join(parts) + "."


def _tuned(summary: Summary) -> bool:
    return any(row.tuning for row in summary.rows)


def _lines(summary: Summary) -> float:
    return 1.0 + 0.3 * len(summary.rows)


_SEEDS = "A line is the seed in the middle, faint ones the others. Broken: one process; dotted: "
_SEEDS += "Sandblaster. Level: the target."

FIGURES = (
    ComparisonFigure(
        "score-over-time",
        "Held-out score over time",
        f"As figure 4 of the paper: seconds of the clock. {_SEEDS}",
        lambda _: True,
        partial(_metric_curves, lambda costs: costs.seconds, "seconds"),
        _told_curves,
        lambda _: 4.6,
    ),
    ComparisonFigure(
        "resources",
        "What it costs to reach the target",
        "As figure 5 of the paper, by what was used: medians, and lines from the least to the "
        "largest of the seeds. Nothing is drawn where half of the seeds never got there.",
        lambda _: True,
        _resources,
        _told_resources,
        _lines,
    ),
    ComparisonFigure(
        "score-over-cpu",
        "Held-out score over CPU seconds",
        f"Workers, servers and coordinator together. {_SEEDS}",
        lambda _: True,
        partial(_metric_curves, lambda costs: costs.cpu_s, "CPU seconds"),
        _told_curves,
        lambda _: 4.6,
    ),
    ComparisonFigure(
        "loss-over-cpu",
        "Training loss over CPU seconds",
        f"The objective on the training examples. {_SEEDS}",
        lambda _: True,
        partial(_loss_curves, lambda costs: costs.cpu_s, "CPU seconds"),
        _told_losses,
        lambda _: 4.6,
    ),
    ComparisonFigure(
        "rates",
        "Learning rates",
        "The training loss at the end of each trial by which rates were tuned: one seed.",
        _tuned,
        _rates,
        _told_rates,
        lambda summary: 1.4 + 0.34 * sum(bool(row.tuning) for row in summary.rows),
    ),
)
