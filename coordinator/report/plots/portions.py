"""Figures of portions: who computed which one when, which were sent again, and which were late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from distbelief.coordinator.report.hints import number, tell
from distbelief.coordinator.report.history import Dispatch, EvaluatedBatch, History
from distbelief.coordinator.report.plots.plot import (
    Histories,
    Plot,
    colour,
    each_run,
    lane_inches,
    legend,
    log_if_wide,
    marked,
    named,
    over_time,
)
from distbelief.coordinator.report.plots.theme import Theme
from distbelief.coordinator.sandblaster.dispatch_log import Fate

#: Lanes of a timeline, of workers and of dispatches without an answer.
MOST_LANES, MOST_SILENT = 40, 12

#: More bars than this have no numbers, and are drawn as an image.
MOST_NUMBERED = 80


@dataclass(frozen=True)
class Bar:
    """A dispatch on its lane; ``kind`` is one of ``KINDS``."""

    lane: str
    start: float
    stop: float
    portion: int
    kind: str


#: Kinds of bars: the number of its colour, and its hatch.
KINDS = {
    "counted": (0, ""),
    "counted, sent again": (2, "///"),
    "too late": (4, "..."),
    "failed": (3, "xxx"),
    "no answer": (1, "---"),
}


def pick_evaluation(history: History) -> EvaluatedBatch | None:
    """Pick the evaluation that is worth a look: most portions sent again, else the slowest."""
    return max(
        history.evaluations, key=lambda each: (len(each.repeated), each.seconds), default=None
    )


def bars(evaluation: EvaluatedBatch) -> list[Bar]:
    """A bar for each dispatch, in a lane for each worker; without an answer, one of its own."""
    return [_bar(each, evaluation.seconds) for each in evaluation.dispatches]


def _bar(dispatch: Dispatch, end: float) -> Bar:
    lane = dispatch.worker or f"portion {dispatch.portion}, copy {dispatch.number + 1}"
    if dispatch.began is None or dispatch.ended is None:
        return Bar(lane, dispatch.sent, end, dispatch.portion, "no answer")
    kind = {
        Fate.WON: "counted, sent again" if dispatch.number else "counted",
        Fate.LOST: "too late",
    }.get(dispatch.fate, "failed")
    return Bar(lane, dispatch.began, dispatch.ended, dispatch.portion, kind)


def lanes(shown: Sequence[Bar]) -> list[str]:
    """Workers first, then what nobody answered; of too many those where something happened."""
    silent = {each.lane: each.start for each in shown if each.kind == "no answer"}
    last = sorted(silent, key=lambda lane: silent[lane])[:MOST_SILENT]
    eventful = {each.lane for each in shown if each.kind != "counted"}
    workers = sorted({each.lane for each in shown} - silent.keys())
    first = sorted(workers, key=lambda lane: lane not in eventful)[: MOST_LANES - len(last)]
    return [*sorted(first), *last]


def _timeline(figure: Figure, histories: Histories, theme: Theme) -> None:
    found = [(each, evaluation) for each in histories if (evaluation := pick_evaluation(each))]
    drawn = [bars(evaluation) for _, evaluation in found]
    heights = [len(lanes(each)) for each in drawn]
    rows = figure.subplots(len(found), 1, squeeze=False, gridspec_kw={"height_ratios": heights})
    for axes, (history, evaluation), shown in zip(rows[:, 0], found, drawn, strict=True):
        _draw(axes, shown, theme)
        axes.set_xlim(0, evaluation.seconds * 1.01)
        of = f"{history.run}: " if len(histories) > 1 else ""
        axes.set_title(f"{of}evaluation {evaluation.number}", loc="left")
    rows[-1, 0].set_xlabel("seconds since the evaluation began")
    kinds = [kind for kind in KINDS if any(bar.kind == kind for shown in drawn for bar in shown)]
    patches = [_patch(kind, theme) for kind in kinds]
    figure.legend(patches, kinds, loc="outside lower center", ncols=len(kinds))


def _draw(axes: Axes, shown: Sequence[Bar], theme: Theme) -> None:
    positions = {lane: position for position, lane in enumerate(lanes(shown))}
    for kind, (_, hatch) in KINDS.items():
        some = [bar for bar in shown if bar.kind == kind and bar.lane in positions]
        drawn = axes.barh(
            [positions[bar.lane] for bar in some],
            [bar.stop - bar.start for bar in some],
            0.72,
            [bar.start for bar in some],
            color=_face(kind, theme),
            edgecolor=theme.paper if kind != "no answer" else _edge(kind, theme),
            linewidth=0.5,
            hatch=hatch,
            rasterized=len(shown) > MOST_NUMBERED,
        )
        for bar, patch in zip(some, drawn, strict=True):
            tell(patch, f"portion {bar.portion}, {kind}\n{bar.start:.3g} to {bar.stop:.3g} s")
    if len(shown) <= MOST_NUMBERED:
        whole = max(bar.stop for bar in shown)
        for bar in shown:
            if bar.lane in positions and bar.stop - bar.start > 0.018 * whole:
                middle = (bar.start + bar.stop) / 2
                _number(axes, middle, positions[bar.lane], bar.portion, theme)
    axes.set_yticks(range(len(positions)), positions, fontsize="small")
    axes.set_ylim(len(positions) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")


def _number(axes: Axes, position: float, lane: int, portion: int, theme: Theme) -> None:
    box = {"boxstyle": "round,pad=0.15", "fc": theme.paper, "ec": "none", "alpha": 0.85}
    axes.text(position, lane, str(portion), ha="center", va="center", fontsize=7, bbox=box)


def _face(kind: str, theme: Theme) -> str:
    return "none" if kind == "no answer" else colour(theme, KINDS[kind][0])


def _edge(kind: str, theme: Theme) -> str:
    return colour(theme, KINDS[kind][0])


def _patch(kind: str, theme: Theme) -> Patch:
    edge = theme.paper if kind != "no answer" else _edge(kind, theme)
    return Patch(facecolor=_face(kind, theme), edgecolor=edge, hatch=KINDS[kind][1], linewidth=0.5)


def _durations(figure: Figure, histories: Histories, theme: Theme) -> None:
    axes = figure.add_subplot()
    for index, history in enumerate(histories):
        found, own = history.evaluations, colour(theme, index)
        label = named(histories, history, "evaluation")
        axes.plot(
            [each.time_s for each in found],
            [each.seconds for each in found],
            color=own,
            lw=0.9,
            label=label if found else "_",
        )
        again = [each for each in found if each.repeated]
        axes.plot(
            [each.time_s for each in again],
            [each.seconds for each in again],
            color=colour(theme, 1) if len(histories) == 1 else own,
            linestyle="",
            marker="^",
            label="with portions sent again" if again and len(histories) == 1 else "_",
        )
    axes.set_ylabel("seconds for an evaluation")
    log_if_wide(axes, [each.seconds for run in histories for each in run.evaluations])
    over_time(axes)
    marked(axes, histories, theme)
    legend(figure, axes, histories)


def _told(histories: Histories) -> str:
    def tell(history: History) -> str:
        evaluation = pick_evaluation(history)
        if evaluation is None:
            return "no portions were noted."
        portions = len({each.portion for each in evaluation.dispatches})
        won = sum(each.fate is Fate.WON for each in evaluation.repeated)
        return (
            f"evaluation {evaluation.number} took {number(evaluation.seconds)} s for {portions} "
            f"portions; sent again: {len(evaluation.repeated)}, of which {won} counted."
        )

    return each_run(histories, tell)


def _told_durations(histories: Histories) -> str:
    def tell(history: History) -> str:
        found = sorted(each.seconds for each in history.evaluations)
        if not found:
            return "no evaluations were noted."
        again = sum(bool(each.repeated) for each in history.evaluations)
        return (
            f"{len(found)} evaluations of the batch, median {number(found[len(found) // 2])} s, "
            f"longest {number(found[-1])} s; in {again} of them portions were sent again."
        )

    return each_run(histories, tell)


def _height(histories: Histories) -> float:
    found = [evaluation for each in histories if (evaluation := pick_evaluation(each))]
    counts = [len(lanes(bars(each))) for each in found]
    return 1.3 + 0.5 * len(counts) + lane_inches(sum(counts)) * sum(counts)


def _has_portions(histories: Histories) -> bool:
    return any(each.evaluations for each in histories)


EVALUATIONS = Plot(
    "evaluations",
    "Evaluations of the batch",
    "How long each took. Triangles: portions were sent again, as backups or because a worker "
    "failed.",
    _has_portions,
    _durations,
    _told_durations,
)

TIMELINE = Plot(
    "portions",
    "Timeline of portions",
    "The evaluation in which most portions were sent again, or else the slowest. A bar is a "
    "worker computing a portion (its number) until its answer came; the first answer for a "
    "portion counts. What had no answer when the evaluation was over has a lane of its own. "
    f"Of more than {MOST_LANES} lanes those are shown where something happened.",
    _has_portions,
    _timeline,
    _told,
    wide=True,
    height=_height,
)
