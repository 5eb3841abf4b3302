"""Figures of Sandblaster's descent: gradient, steps, and what the line search cost."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from distbelief.coordinator.report.hints import number
from distbelief.coordinator.report.history import History
from distbelief.coordinator.report.plots.plot import (
    Histories,
    Plot,
    colour,
    each_run,
    legend,
    log_if_wide,
    named,
)
from distbelief.coordinator.report.plots.theme import Theme


def _iterations(axes: Axes) -> None:
    axes.set_xlabel("iteration")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _gradient(figure: Figure, histories: Histories, theme: Theme) -> None:
    axes, seen = figure.add_subplot(), []
    for index, history in enumerate(histories):
        norms = [each.gradient_norm for each in history.iterations]
        seen += norms
        numbers = [each.number for each in history.iterations]
        own, label = colour(theme, index), named(histories, history, "gradient")
        axes.plot(numbers, norms, color=own, label=label if norms else "_")
    axes.set_ylabel("gradient, 2-norm")
    log_if_wide(axes, seen, decades=1.0)
    _iterations(axes)
    legend(figure, axes, histories)


def _steps(figure: Figure, histories: Histories, theme: Theme) -> None:
    axes, seen = figure.add_subplot(), []
    for index, history in enumerate(histories):
        moved = [each for each in history.iterations if each.step > 0]
        seen += [each.step for each in moved]
        own, label = colour(theme, index), named(histories, history, "step")
        axes.plot(
            [each.number for each in moved],
            [each.step for each in moved],
            color=own,
            marker="o",
            markersize=3,
            lw=0.6,
            label=label if moved else "_",
        )
    axes.set_ylabel("step along the direction")
    log_if_wide(axes, seen, decades=1.0)
    _iterations(axes)
    legend(figure, axes, histories)


def _trials(figure: Figure, histories: Histories, theme: Theme) -> None:
    axes, most = figure.add_subplot(), 2
    for index, history in enumerate(histories):
        if not history.iterations:
            continue
        counts = [each.evaluations for each in history.iterations]
        most = max(most, *counts)
        edges = [history.iterations[0].number - 0.5]
        edges += [each.number + 0.5 for each in history.iterations]
        alone, own = len(histories) == 1, colour(theme, index)
        label = named(histories, history, "evaluations")
        axes.stairs(counts, edges, color=own, fill=alone, label=label, lw=1.4)
    axes.set_ylabel("evaluations of the batch")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(0, most * 1.1)
    _iterations(axes)
    legend(figure, axes, histories)


def _told(histories: Histories) -> str:
    def tell(history: History) -> str:
        if not history.iterations:
            return "no iterations."
        first, last = history.iterations[0], history.iterations[-1]
        trials = sum(each.evaluations for each in history.iterations)
        return (
            f"{last.number} iterations with {trials} evaluations; the norm of the gradient goes "
            f"from {number(first.gradient_norm)} to {number(last.gradient_norm)}, the last step "
            f"is {number(last.step)}."
        )

    return each_run(histories, tell)


def _has_iterations(histories: Histories) -> bool:
    return any(each.iterations for each in histories)


PLOTS = (
    Plot(
        "gradient",
        "Gradient",
        "Norm of the objective's gradient (with L1: of its pseudo-gradient) at each iteration.",
        _has_iterations,
        _gradient,
        _told,
    ),
    Plot(
        "steps",
        "Line search steps",
        "The step that the line search accepted, as a multiple of the direction; L-BFGS wants 1.",
        _has_iterations,
        _steps,
        _told,
    ),
    Plot(
        "trials",
        "Evaluations for each iteration",
        "One is the least; more are points that the line search tried and rejected.",
        _has_iterations,
        _trials,
        _told,
    ),
)
