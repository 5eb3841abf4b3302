"""Figures of learning: loss and held-out figures, over time and over examples."""

from __future__ import annotations

import math
from functools import partial

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from distbelief.app.models.metric import Metric
from distbelief.coordinator.report.hints import number
from distbelief.coordinator.report.history import History, training
from distbelief.coordinator.report.plots.plot import (
    Histories,
    Plot,
    colour,
    columns,
    each_run,
    legend,
    log_if_wide,
    marked,
    named,
    over_examples,
    over_time,
)
from distbelief.coordinator.report.plots.theme import MARKERS, Theme

#: Held-out figures between 0 and 1, of which one run shows all that it has.
SHARES = ("accuracy", "auc", "precision", "recall")
TITLES = {"auc": "AUC", "log_loss": "log loss", "rmse": "RMSE"}

#: Markers on a line, at most.
MOST_MARKERS = 15


def metric(history: History) -> str:
    """The held-out figure that the run is judged by, as its evaluations name it."""
    found = history.heldout[0].measures if history.heldout else {}
    for name in (history.config.get("metric"), "accuracy", "rmse"):
        if name in found:
            return str(name)
    return "loss"


def _of_loss(history: History) -> str:
    """What its losses are of: those of classes and of numbers are not to be compared."""
    measures = history.heldout[0].measures if history.heldout else {}
    return "regression" if Metric.RMSE in measures else "classes" if measures else ""


def _of_metric(history: History) -> str:
    return TITLES.get(metric(history), metric(history))


def _loss(examples: bool, figure: Figure, histories: Histories, theme: Theme) -> None:
    axes, seen = figure.add_subplot(), [math.nan]
    for index, history in enumerate(histories):
        times, counts, losses = columns(training(history), 3)
        what = "objective (training)" if history.minimises else "training"
        label, own = named(histories, history, what), colour(theme, index)
        shown = label if len(losses) else "_"
        axes.plot(counts if examples else times, losses, color=own, label=shown)
        second = 1 if len(histories) == 1 else index
        line = _scores(axes, history, "loss", theme, second, examples)
        if len(histories) == 1 and history.heldout:
            line.set_label("held-out")
        elif shown == "_" and history.heldout:  # whose training losses were never finite
            line.set_label(label)
        seen += [*losses.tolist(), *(each.loss for each in history.heldout)]
    axes.set_ylabel("loss, mean over examples")
    log_if_wide(axes, seen)
    _finish(figure, axes, histories, theme, examples)


def _metric(examples: bool, figure: Figure, histories: Histories, theme: Theme) -> None:
    axes, titles = figure.add_subplot(), []
    for index, history in enumerate(histories):
        for position, name in enumerate(_shown(history, len(histories) > 1)):
            title = TITLES.get(name, name)
            line = _scores(axes, history, name, theme, max(index, position), examples)
            line.set_label(named(histories, history, title))
            titles.append(title)
    axes.set_ylabel(f"held-out {titles[0] if len(set(titles)) == 1 else 'score'}")
    _finish(figure, axes, histories, theme, examples)


def _shown(history: History, several: bool) -> list[str]:
    first = metric(history)
    if not history.heldout:
        return []
    if several or first not in SHARES:
        return [first]
    found = history.heldout[0].measures
    return [first, *(name for name in SHARES if name in found and name != first)]


def _scores(
    axes: Axes, history: History, name: str, theme: Theme, index: int, examples: bool
) -> Line2D:
    """Draw the scores of a run, and a ring around that of the model that was saved."""
    scored, kept = history.heldout, history.kept
    (line,) = axes.plot(
        [each.seen if examples else each.time_s for each in scored],
        [each.measures.get(name, math.nan) if each.finite else math.nan for each in scored],
        color=colour(theme, index),
        linestyle="--",
        marker=MARKERS[index % len(MARKERS)],
        markersize=4.5,
        markevery=max(1, len(scored) // MOST_MARKERS),
    )
    if kept is not None:
        axes.plot(
            [kept.seen if examples else kept.time_s],
            [kept.measures.get(name, math.nan)],
            color=colour(theme, index),
            marker="o",
            markersize=11,
            markerfacecolor="none",
            linestyle="",
            clip_on=False,  # the last one may lie on the edge
        )
    return line


def _finish(figure: Figure, axes: Axes, histories: Histories, theme: Theme, examples: bool) -> None:
    if examples:
        over_examples(axes)
    else:
        over_time(axes)
        marked(axes, histories, theme)
    legend(figure, axes, histories)


def _has_loss(histories: Histories) -> bool:
    return any(
        training(each) or any(math.isfinite(point.loss) for point in each.heldout)
        for each in histories
    )


def _has_scores(histories: Histories) -> bool:
    return any(
        metric(each) != "loss" and any(point.finite for point in each.heldout) for each in histories
    )


def _has_examples(histories: Histories) -> bool:
    return any(math.isfinite(each.n_train) for each in histories)


def _told_loss(histories: Histories) -> str:
    return each_run(histories, _loss_of)


def _loss_of(history: History) -> str:
    points, text = training(history), ""
    if points:
        first, last = points[0][2], points[-1][2]
        text = f"the training loss goes from {number(first)} to {number(last)}"
        text += f" in {number(points[-1][0])} s."
    if history.heldout:
        losses = [each.loss for each in history.heldout]
        text += f" Held-out loss: first {number(losses[0])}, last {number(losses[-1])}."
    return text or "no loss was noted."


def _told_metric(histories: Histories) -> str:
    def tell(history: History) -> str:
        name, found = metric(history), [each.measures for each in history.heldout if each.finite]
        if not found:
            return "no held-out score was noted."
        first, last = (number(each.get(name, math.nan)) for each in (found[0], found[-1]))
        title = TITLES.get(name, name)
        return f"held-out {title} goes from {first} to {last} in {len(found)} evaluations."

    return each_run(histories, tell)


_LOSS = (
    "Training: mean over the examples of recent units (Downpour, without L2), or the objective "
    "with its penalty (Sandblaster), a full line; of a hybrid one after the other. Held-out: "
    "dashed, with markers, and a ring around the model that was saved."
)
_SEEN = (
    "Downpour: passes times training examples. Sandblaster: every evaluation of the batch, also "
    "those that a line search rejects. Work that was lost and made again is a step back."
)
_SCORED = (
    "Figures of the held-out examples, at the moment of each snapshot; a ring is around the model "
    "that was saved."
)

PLOTS = (
    Plot(
        "loss-over-time",
        "Loss over time",
        _LOSS,
        _has_loss,
        partial(_loss, False),
        _told_loss,
        kind=_of_loss,
    ),
    Plot(
        "loss-over-examples",
        "Loss over examples",
        _SEEN,
        lambda runs: _has_loss(runs) and _has_examples(runs),
        partial(_loss, True),
        _told_loss,
        kind=_of_loss,
    ),
    Plot(
        "metric-over-time",
        "Held-out score over time",
        _SCORED,
        _has_scores,
        partial(_metric, False),
        _told_metric,
        kind=_of_metric,
    ),
    Plot(
        "metric-over-examples",
        "Held-out score over examples",
        _SCORED,
        lambda runs: _has_scores(runs) and _has_examples(runs),
        partial(_metric, True),
        _told_metric,
        kind=_of_metric,
    ),
)
