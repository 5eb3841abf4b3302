"""The figures of a plan: throughput over replicas, what limits it, and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from string import ascii_lowercase

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from distbelief.coordinator.planning.plan import FleetPlan
from distbelief.coordinator.planning.rows import Alone, FleetRow, fewest_servers
from distbelief.coordinator.planning.simulation.outcome import RESOURCES
from distbelief.coordinator.planning.words import (
    NAMES,
    alone_sentence,
    number,
    saturation_sentence,
)
from distbelief.coordinator.report.plots.plot import colour, plain_logs
from distbelief.coordinator.report.plots.theme import MARKERS, Theme

#: Curves in one figure: more cannot be told apart.
MOST_CURVES = 6


@dataclass(frozen=True)
class PlanFigure:
    """A figure: its ``name`` is that of its file, ``told`` what it shows in words."""

    name: str
    title: str
    caption: str
    told: str
    draw: Callable[[Figure, Theme], None]
    height: float = 4.2


def figures(plan: FleetPlan) -> list[PlanFigure]:
    """Those of each algorithm, in the order of the page."""
    found = []
    for alone in plan.alone:
        name, rows = alone.algorithm, plan.of(alone.algorithm)
        title = NAMES[name]
        found.append(
            PlanFigure(
                f"{name}-throughput",
                f"{title}: examples a second",
                "A curve for each number of servers; the dashed line is one process alone. Where "
                "a curve is flat, more replicas buy nothing.",
                alone_sentence(alone, rows),
                partial(_throughput, rows, alone),
            )
        )
        found.append(
            PlanFigure(
                f"{name}-limits",
                f"{title}: what limits it",
                "The resource that the throughput of each fleet depends on. Fleets of far more "
                "servers than replicas were not simulated.",
                saturation_sentence(rows),
                partial(_limits, rows),
            )
        )
        found.append(
            PlanFigure(
                f"{name}-cost",
                f"{title}: time against cost",
                "Each point is a fleet, on the fewest servers that are as fast as any; the cost is "
                + ("money" if plan.assumptions.priced else "machine hours")
                + " for the whole training. Down and to the left is better.",
                _told_cost(plan, alone, rows),
                partial(_cost, plan, alone, rows),
            )
        )
    return found


def _throughput(rows: Sequence[FleetRow], alone: Alone, figure: Figure, theme: Theme) -> None:
    axes = figure.add_subplot()
    counts = sorted({row.servers for row in rows})
    chosen = [counts[round(each)] for each in np.linspace(0, len(counts) - 1, MOST_CURVES)]
    for index, servers in enumerate(sorted(set(chosen))):
        own = [row for row in rows if row.servers == servers]
        axes.plot(
            [row.replicas for row in own],
            [row.examples_s for row in own],
            color=colour(theme, index),
            marker=MARKERS[index % len(MARKERS)],
            ms=4,
            label=f"{servers:,} server{'s' if servers > 1 else ''}",
        )
    axes.axhline(alone.examples_s, color=theme.ink, ls="--", lw=1.2, label="one process alone")
    axes.set_xlabel("replicas")
    axes.set_ylabel("examples a second")
    _logs(axes)
    figure.legend(loc="outside right upper")


def _limits(rows: Sequence[FleetRow], figure: Figure, theme: Theme) -> None:
    axes = figure.add_subplot()
    replicas, servers = (sorted({getattr(row, n) for row in rows}) for n in ("replicas", "servers"))
    names = [name for name in RESOURCES if any(row.outcome.limit == name for row in rows)]
    table = np.full((len(servers), len(replicas)), np.nan)
    for row in rows:
        at = servers.index(row.servers), replicas.index(row.replicas)
        table[at] = names.index(row.outcome.limit)
    colours = [colour(theme, index) for index in range(len(names))]
    axes.imshow(
        table,
        cmap=ListedColormap(colours),
        vmin=-0.5,
        vmax=len(names) - 0.5,
        origin="lower",
        aspect="auto",
    )
    for row in rows:
        at = replicas.index(row.replicas), servers.index(row.servers)
        letter = ascii_lowercase[names.index(row.outcome.limit)]
        axes.text(*at, letter, ha="center", va="center", fontsize="x-small", color=theme.paper)
    axes.set_xticks(range(len(replicas)), [f"{each:,}" for each in replicas], fontsize="small")
    axes.set_yticks(range(len(servers)), [f"{each:,}" for each in servers], fontsize="small")
    axes.set_xlabel("replicas")
    axes.set_ylabel("servers")
    axes.grid(visible=False)
    handles = [
        Patch(color=own, label=f"{letter}: {RESOURCES[name]}")
        for own, letter, name in zip(colours, ascii_lowercase, names, strict=False)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)


def _costs(plan: FleetPlan, rows: Sequence[FleetRow]) -> list[tuple[float, float]]:
    """Hours and cost of each fleet."""
    if plan.assumptions.priced:
        return [(row.hours, row.money or 0.0) for row in rows]
    return [(row.hours, row.hours * (row.machines + row.servers + 1)) for row in rows]


def _cost(
    plan: FleetPlan, alone: Alone, rows: Sequence[FleetRow], figure: Figure, theme: Theme
) -> None:
    axes, best = figure.add_subplot(), fewest_servers([*rows])
    points = _costs(plan, best)
    axes.plot(*zip(*points, strict=True), color=colour(theme, 0), marker="o", ms=4, label="fleets")
    for (hours, cost), row in zip(points, best, strict=True):
        note = f"{row.replicas:,}"
        axes.annotate(
            note, (hours, cost), textcoords="offset points", xytext=(4, 4), fontsize="small"
        )
    mine = alone.money if alone.money is not None else alone.hours
    axes.plot([alone.hours], [mine], color=colour(theme, 1), marker="s", ls="", label="one process")
    axes.set_xlabel("hours of the training")
    axes.set_ylabel("money" if plan.assumptions.priced else "machine hours")
    _logs(axes)
    figure.legend(loc="outside right upper")


def _told_cost(plan: FleetPlan, alone: Alone, rows: Sequence[FleetRow]) -> str:
    points = _costs(plan, rows)
    least = min(points, key=lambda point: point[1])
    quick = min(points)
    unit = "" if plan.assumptions.priced else " machine hours"
    return (
        f"One process takes {number(alone.hours)} hours; the cheapest fleet {number(least[0])} "
        f"hours for {number(least[1])}{unit}, the quickest {number(quick[0])} hours for "
        f"{number(quick[1])}{unit}."
    )


def _logs(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    plain_logs(axes.xaxis)
    plain_logs(axes.yaxis)
