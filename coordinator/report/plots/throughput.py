"""Figures of throughput: that of a run, and that of each worker."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import partial

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from distbelief.coordinator.report.arrays import Array
from distbelief.coordinator.report.hints import number, tell_fields
from distbelief.coordinator.report.history import History, Work
from distbelief.coordinator.report.plots.plot import (
    Histories,
    Plot,
    colour,
    each_run,
    lane_inches,
    legend,
    marked,
    named,
    over_time,
)
from distbelief.coordinator.report.plots.theme import Theme

#: Stretches of time of which each has its throughput.
STRETCHES = 120

#: Workers that are shown, those that did most; all count in the sum.
MOST_WORKERS = 32


def throughput(work: Sequence[Work], edges: Array) -> Array:
    """Examples per second between the edges, where work is spread over its time."""
    ends = np.array([each.time_s for each in work])
    spans = np.maximum([each.seconds for each in work], 1e-6)
    examples = np.array([each.examples for each in work])
    done = np.clip((edges[:, None] - ends + spans) / spans, 0.0, 1.0) @ examples
    return np.asarray(np.diff(done) / np.diff(edges))


def busiest(work: Sequence[Work]) -> list[str]:
    """The workers that did most, most first."""
    done: Counter[str] = Counter()
    for each in work:
        done[each.worker] += round(each.examples)
    return [worker for worker, _ in done.most_common(MOST_WORKERS)]


def _edges(histories: Histories) -> Array:
    last = max(each.ended_s for each in histories)
    count = min(STRETCHES, max(8, *(len(each.work) for each in histories)))
    return np.linspace(0.0, last, count + 1)


def _total(figure: Figure, histories: Histories, theme: Theme) -> None:
    axes, common = figure.add_subplot(), _edges(histories)
    for index, history in enumerate(histories):
        if work := history.work:
            edges = np.append(common[common < history.ended_s], history.ended_s)
            own, label = colour(theme, index), named(histories, history, "all workers")
            axes.stairs(throughput(work, edges), edges, color=own, label=label, lw=1.6)
    axes.set_ylabel("examples per second")
    axes.yaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_ylim(bottom=0)
    over_time(axes)
    marked(axes, histories, theme)
    legend(figure, axes, histories)


def _workers(figure: Figure, histories: Histories, theme: Theme) -> None:
    found = [each for each in histories if each.work]
    heights = [len(busiest(each.work)) for each in found]
    rows = figure.subplots(
        len(found), 1, squeeze=False, sharex=True, gridspec_kw={"height_ratios": heights}
    )
    edges, lanes = _edges(found), sum(heights)
    tables = [_lanes(history, edges) for history in found]
    most = max(np.nanmax(table) for _, table in tables)
    for axes, history, (workers, table) in zip(rows[:, 0], found, tables, strict=True):
        extent = (0.0, float(edges[-1]), len(workers) - 0.5, -0.5)
        image = axes.imshow(
            table,
            aspect="auto",
            extent=extent,
            cmap=theme.map_name,
            vmin=0.0,
            vmax=most,
            interpolation="nearest",
        )
        tell_fields(image, partial(_told_field, workers, table, edges))
        axes.set_yticks(range(len(workers)), workers, fontsize="small")
        axes.grid(visible=False)
        marked(axes, histories, theme)
        if len(histories) > 1:
            axes.set_title(history.run, loc="left")
    rows[-1, 0].set_xlabel("training time (s)")
    bar = figure.colorbar(
        image, ax=rows[:, 0].tolist(), format=EngFormatter(sep=""), pad=0.01, aspect=8 + 2 * lanes
    )
    bar.set_label("examples per second")
    bar.outline.set_visible(False)


def _told_field(workers: Sequence[str], table: Array, edges: Array, row: int, column: int) -> str:
    rate = table[row, column]
    if math.isnan(rate):
        return ""
    return (
        f"{workers[row]}: {number(rate)} a second\n{edges[column]:.3g} to {edges[column + 1]:.3g} s"
    )


def _lanes(history: History, edges: Array) -> tuple[list[str], Array]:
    """Each worker's throughput, shape (workers, stretches), NaN where it did nothing."""
    work = history.work
    workers = sorted(busiest(work))
    table = np.array(
        [throughput([each for each in work if each.worker == name], edges) for name in workers]
    )
    return workers, np.where(table > 0, table, np.nan)


def rate(history: History) -> float:
    """Examples per second of training, NaN if no work was noted."""
    examples = sum(each.examples for each in history.work)
    return examples / history.ended_s if examples and history.ended_s else math.nan


def _told(histories: Histories) -> str:
    def tell(history: History) -> str:
        workers = len({each.worker for each in history.work})
        return f"{number(rate(history))} examples a second on average; worker processes: {workers}."

    return each_run(histories, tell)


def _told_workers(histories: Histories) -> str:
    def tell(history: History) -> str:
        done: Counter[str] = Counter()
        for each in history.work:
            done[each.worker] += round(each.examples)
        return "; ".join(f"{name}: {count:,} examples" for name, count in done.most_common(8)) + "."

    return each_run(histories, tell)


def _lanes_height(histories: Histories) -> float:
    lanes = [len(busiest(each.work)) for each in histories if each.work]
    return 1.2 + 0.3 * len(lanes) + lane_inches(sum(lanes)) * sum(lanes)


def _has_work(histories: Histories) -> bool:
    return any(each.work and each.ended_s > 0 for each in histories)


PLOTS = (
    Plot(
        "throughput",
        "Throughput",
        "Examples that all workers together computed gradients of, in each second.",
        _has_work,
        _total,
        _told,
        wide=True,
        height=lambda _: 3.0,
    ),
    Plot(
        "workers",
        "Throughput per worker",
        "One lane for each worker process (process@host); nothing is drawn where it did nothing, "
        f"or did not report. Of more than {MOST_WORKERS} workers those are shown that did most.",
        _has_work,
        _workers,
        _told_workers,
        wide=True,
        height=_lanes_height,
    ),
)
