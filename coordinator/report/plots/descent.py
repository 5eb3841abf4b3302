"""How Downpour's replicas went down: learning rates and staleness."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from coordinator.report.history import History, Rates, UnitDone
from coordinator.report.plots.plot import (
    Histories,
    Plot,
    colour,
    columns,
    each_run,
    legend,
    log_if_wide,
    marked,
    named,
    number,
    over_time,
    plain_logs,
)
from coordinator.report.plots.theme import MARKERS, Theme

#: Of the parameters, from the lowest rate to the highest.
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
BINS = 40

#: Staleness above this is one bar.
MOST_STALE = 20

#: Stretches of time of which each has its staleness.
STRETCHES = 40


def _rates(figure: Figure, histories: Histories, theme: Theme) -> None:
    axes, seen = figure.add_subplot(), []
    for index, history in enumerate(histories):
        if not history.rates:
            continue
        own, label = colour(theme, index), named(histories, history, "median")
        times = [each.time_s for each in history.rates]
        table = np.array([np.quantile(each.values, QUANTILES) for each in history.rates]).T
        # States are few and far between: nothing is claimed of the time between them.
        axes.vlines(times, table[0], table[4], color=own, lw=1.5)
        axes.vlines(times, table[1], table[3], color=own, lw=7, alpha=0.45)
        marker = MARKERS[index % len(MARKERS)]
        axes.plot(times, table[2], color=own, marker=marker, ls=":", lw=1, label=label)
        seen += table.ravel().tolist()
    axes.set_ylabel("learning rate of a parameter")
    axes.margins(x=0.05)
    log_if_wide(axes, seen, decades=1.0)
    axes.set_xlabel("training time (s)")
    marked(axes, histories, theme)
    legend(figure, axes, histories)


def _last_rates(figure: Figure, histories: Histories, theme: Theme) -> None:
    axes = figure.add_subplot()
    last = [each.rates[-1].values for each in histories if each.rates]
    low, high = min(each[0] for each in last), max(each[-1] for each in last)
    edges = np.geomspace(low * 0.95, high * 1.05, BINS + 1)
    for index, history in enumerate(histories):
        if history.rates:
            values, alone = history.rates[-1].values, len(histories) == 1
            shares = np.histogram(values, edges)[0] / values.size
            own, label = colour(theme, index), named(histories, history, "")
            axes.stairs(shares, edges, color=own, fill=alone, label=label, lw=1.6)
    axes.set_xscale("log")
    plain_logs(axes.xaxis)
    axes.set_xlabel("learning rate of a parameter")
    axes.set_ylabel("share of the parameters")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    legend(figure, axes, histories)


def staleness_shares(counts: Counter[int]) -> list[float]:
    """Shares of the pushes by staleness: 0, 1, ..., and all from ``MOST_STALE`` on."""
    total = counts.total()
    below = [counts[value] for value in range(min(max(counts) + 1, MOST_STALE))]
    rest = [total - sum(below)] if max(counts) >= MOST_STALE else []
    return [count / total for count in below + rest]


def _staleness(figure: Figure, histories: Histories, theme: Theme) -> None:
    axes = figure.add_subplot()
    found = [each for each in histories if each.staleness]
    width = 0.8 / len(found)
    for position, history in enumerate(found):
        shares, own = staleness_shares(history.staleness), colour(theme, histories.index(history))
        places = np.arange(len(shares)) + (position - (len(found) - 1) / 2) * width
        axes.bar(places, shares, width, color=own, label=named(histories, history, ""))
    axes.set_xlabel("staleness (updates of others since the fetch)")
    axes.set_ylabel("share of the pushes")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if any(max(each.staleness) >= MOST_STALE for each in found):
        axes.set_xticks([*range(0, MOST_STALE, 5), MOST_STALE])
        axes.set_xticklabels([*map(str, range(0, MOST_STALE, 5)), f"{MOST_STALE}+"])
    legend(figure, axes, histories)


def staleness_over_time(units: list[UnitDone]) -> list[tuple[float, int, int, int]]:
    """(time, median, 95 % quantile, worst) of the pushes in each of some stretches of units."""
    known = [unit for unit in units if unit.staleness]
    size = math.ceil(len(known) / STRETCHES) or 1
    points = []
    for start in range(0, len(known), size):
        part = known[start : start + size]
        counts = sum((unit.staleness for unit in part), Counter[int]())
        values = sorted(counts)
        below = np.cumsum([counts[value] for value in values]) / counts.total()
        median, high = (values[int(np.searchsorted(below, q))] for q in (0.5, 0.95))
        points.append((part[-1].time_s, median, high, values[-1]))
    return points


def _stale_over_time(figure: Figure, histories: Histories, theme: Theme) -> None:
    axes = figure.add_subplot()
    for index, history in enumerate(histories):
        points = staleness_over_time(list(history.units))
        if not points:
            continue
        times, median, high, worst = columns(points, 4)
        own, few = colour(theme, index), len(points) < STRETCHES / 2
        marker = MARKERS[index % len(MARKERS)] if few else ""
        label = named(histories, history, "median")
        axes.plot(times, median, color=own, label=label, marker=marker, markersize=3.5)
        for values, line, alone in ((high, "--", "95 %"), (worst, ":", "worst")):
            label = alone if len(histories) == 1 else "_"
            axes.plot(times, values, color=own, linestyle=line, lw=1.1, label=label)
    axes.set_ylabel("staleness (updates)")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    over_time(axes)
    marked(axes, histories, theme)
    legend(figure, axes, histories)


def _told_rates(histories: Histories) -> str:
    def tell(history: History) -> str:
        if not history.rates:
            return "no learning rates of its own for each parameter."
        first, last = (_median(each) for each in (history.rates[0], history.rates[-1]))
        low, high = np.quantile(history.rates[-1].values, (0.05, 0.95))
        return (
            f"the median learning rate goes from {number(first)} to {number(last)}; in the end "
            f"nine in ten parameters are between {number(low)} and {number(high)}."
        )

    return each_run(histories, tell)


def _median(rates: Rates) -> float:
    return float(np.median(rates.values))


def _told_staleness(histories: Histories) -> str:
    def tell(history: History) -> str:
        counts = history.staleness
        if not counts:
            return "no staleness was noted."
        values = np.repeat(list(counts), list(counts.values()))
        low, high = np.median(values), max(counts)
        return f"the median staleness of a push is {number(low)}, the worst {number(high)}."

    return each_run(histories, tell)


def _has_rates(histories: Histories) -> bool:
    return any(each.rates for each in histories)


def _has_staleness(histories: Histories) -> bool:
    return any(each.staleness for each in histories)


PLOTS = (
    Plot(
        "learning-rate-over-time",
        "Learning rate over time",
        "What each parameter's gradient is multiplied by, from the sums in the checkpoints that "
        "are still there and in the saved model: the median (marker), the middle half of the "
        "parameters (thick) and nine in ten (thin).",
        _has_rates,
        _rates,
        _told_rates,
    ),
    Plot(
        "learning-rate",
        "Learning rates in the end",
        "Parameters by their learning rate, in the last state that is there. Those whose gradient "
        "is mostly zero keep a high one.",
        _has_rates,
        _last_rates,
        _told_rates,
    ),
    Plot(
        "staleness",
        "Staleness",
        "Updates of other replicas that a shard applied between a replica's fetch and its push.",
        _has_staleness,
        _staleness,
        _told_staleness,
    ),
    Plot(
        "staleness-over-time",
        "Staleness over time",
        "Full line: median. Dashed: 95 % of the pushes are at most so stale. Dotted: the worst.",
        _has_staleness,
        _stale_over_time,
        _told_staleness,
    ),
)
