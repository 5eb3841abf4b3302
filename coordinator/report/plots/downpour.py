"""Figures of Downpour's descent: learning rates and staleness."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from distbelief.coordinator.report.hints import number, tell
from distbelief.coordinator.report.history import History, Rates, UnitDone
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
    over_time,
    plain_logs,
)
from distbelief.coordinator.report.plots.theme import MARKERS, Theme

#: Quantiles of the parameters, from the lowest rate to the highest.
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
BINS = 40

#: Bars of the distribution of staleness, at most.
BARS = 21

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


def staleness_width(counts: Sequence[Counter[int]]) -> int:
    """Values of staleness that share a bar, so that 99 % of the pushes fit into all bars."""
    return max(-(-(_quantile(each, 0.99) + 1) // BARS) for each in counts)


def staleness_shares(counts: Counter[int], width: int) -> list[float]:
    """Shares of the pushes by staleness, ``width`` values a bar; the last has all above, too."""
    bars = [0] * BARS
    for value, count in counts.items():
        bars[min(value // width, BARS - 1)] += count
    return [count / counts.total() for count in bars]


def _staleness(figure: Figure, histories: Histories, theme: Theme) -> None:
    axes = figure.add_subplot()
    found = [each for each in histories if each.staleness]
    step = staleness_width([each.staleness for each in found])
    tables = [staleness_shares(each.staleness, step) for each in found]
    shown = max(max(np.flatnonzero(table)) for table in tables) + 1
    thick = 0.8 / len(found)
    for position, (history, shares) in enumerate(zip(found, tables, strict=True)):
        middles = np.arange(shown) + (position - (len(found) - 1) / 2) * thick
        own, label = colour(theme, histories.index(history)), named(histories, history, "")
        bars = axes.bar(middles, shares[:shown], thick, color=own, label=label)
        for index, (bar, share) in enumerate(zip(bars, shares, strict=False)):
            last = index * step + step - 1
            tell(bar, f"{_between(index * step, last)}: {share:.1%} of the pushes")
    every = max(1, round(shown / 6))
    more = any(max(each.staleness) >= BARS * step for each in found)
    ticks = [*range(0, shown - (every if more else 0), every), *([shown - 1] if more else [])]
    names = [str(tick * step) for tick in ticks]
    axes.set_xticks(ticks, [*names[:-1], f"{names[-1]}+"] if more else names)
    axes.set_xlabel("staleness (updates of others since the fetch)")
    axes.set_ylabel("share of the pushes")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    legend(figure, axes, histories)


def _between(first: int, last: int) -> str:
    return f"staleness {first}" if first == last else f"staleness {first} to {last}"


def staleness_over_time(units: list[UnitDone]) -> list[tuple[float, int, int, int]]:
    """(time, median, 95 % quantile, worst) of the pushes in each of some stretches of units."""
    known = [unit for unit in units if unit.staleness]
    size = math.ceil(len(known) / STRETCHES) or 1
    points = []
    for start in range(0, len(known), size):
        part = known[start : start + size]
        counts = sum((unit.staleness for unit in part), Counter[int]())
        median, high = (_quantile(counts, q) for q in (0.5, 0.95))
        points.append((part[-1].time_s, median, high, max(counts)))
    return points


def _quantile(counts: Counter[int], share: float) -> int:
    """The least value that at least this share of all is not above."""
    values = sorted(counts)
    below = np.cumsum([counts[value] for value in values])
    return values[int(np.searchsorted(below, share * below[-1]))]


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
        median, worst = _quantile(counts, 0.5), max(counts)
        return f"the median staleness of a push is {median}, the worst {worst}."

    return each_run(histories, tell)


def _has_rates(histories: Histories) -> bool:
    """Whether parameters have come to rates of their own: in the beginning all are the same."""
    return any(state.values[0] < state.values[-1] for each in histories for state in each.rates)


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
        "Updates of other replicas that a shard applied between a replica's fetch and its push. "
        "The last bar, if its number has a plus, has all that were more stale, too.",
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
