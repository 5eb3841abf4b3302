"""Figures of the model that was saved: which classes it takes for which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure

from distbelief.coordinator.report.arrays import Array
from distbelief.coordinator.report.hints import tell_fields
from distbelief.coordinator.report.history import History
from distbelief.coordinator.report.plots.plot import Histories, Plot, each_run
from distbelief.coordinator.report.plots.theme import Theme

#: Classes that are told apart in a figure, and of which the counts are written.
MOST_CLASSES = 40
MOST_WRITTEN = 12

#: Matrices beside one another, and inches of one alone and of each row of several.
ACROSS, HEIGHT, HEIGHT_OF_SEVERAL = 2, 4.2, 2.9


def confusion(history: History) -> tuple[list[str], Array] | None:
    """Names of the classes and counts, shape (true, predicted); None without, or of too many."""
    found = history.outcome.get("heldout") or {}
    names, rows = found.get("classes"), found.get("confusion")
    if not names or not rows or len(names) > MOST_CLASSES:
        return None
    try:
        counts = np.asarray(rows, np.float64)[:, : len(names)]  # the last one: no answer
    except (ValueError, TypeError, IndexError):
        return None
    return ([str(name) for name in names], counts) if counts.shape == (len(names),) * 2 else None


def _found(histories: Histories) -> list[tuple[History, list[str], Array]]:
    pairs = ((history, confusion(history)) for history in histories)
    return [(history, *found) for history, found in pairs if found is not None]


def _down(histories: Histories) -> int:
    """Rows of matrices."""
    return -(-len(_found(histories)) // ACROSS)


def _height(histories: Histories) -> float:
    return HEIGHT if len(_found(histories)) == 1 else HEIGHT_OF_SEVERAL * _down(histories)


def _draw(figure: Figure, histories: Histories, theme: Theme) -> None:
    found = _found(histories)
    across = min(len(found), ACROSS)
    for place, (history, names, counts) in enumerate(found):
        axes = figure.add_subplot(_down(histories), across, place + 1)
        _matrix(axes, names, counts, theme)
        if len(histories) > 1:
            axes.set_title(history.run, loc="left", fontsize="small")


def _matrix(axes: Axes, names: Sequence[str], counts: Array, theme: Theme) -> None:
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    colours = LinearSegmentedColormap.from_list("", [theme.paper, theme.series[0]])
    image = axes.imshow(shares, cmap=colours, norm=PowerNorm(0.5, 0.0, 1.0))  # mistakes are few

    def told(row: int, column: int) -> str:
        count = counts[row, column]
        return f"{count:g} of {names[row]}\ntaken for {names[column]}" if count else ""

    tell_fields(image, told)
    axes.grid(visible=False)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    for set_ticks in (axes.set_xticks, axes.set_yticks):
        set_ticks(range(len(names)), names, fontsize="small")
    if max(map(len, names)) > 3:
        axes.tick_params(axis="x", labelrotation=90)
    for (row, column), share in np.ndenumerate(shares):
        if share and len(names) <= MOST_WRITTEN:
            text = f"{counts[row, column]:g}"
            ink = theme.paper if share > 0.3 else theme.ink
            axes.text(column, row, text, ha="center", va="center", color=ink, fontsize="small")


def _told(histories: Histories) -> str:
    def tell(history: History) -> str:
        found = confusion(history)
        return "no classes were noted." if found is None else _worst(*found)

    return each_run(histories, tell)


def _worst(names: Sequence[str], counts: Array) -> str:
    """The mistake that is made most often."""
    wrong = counts - np.diag(np.diag(counts))
    row, column = np.unravel_index(int(wrong.argmax()), wrong.shape)
    right = f"{np.trace(counts):g} of {counts.sum():g} examples are right"
    if not wrong.any():
        return f"{right}."
    worst = f"{wrong[row, column]:g} of {names[int(row)]} are taken for {names[int(column)]}"
    return f"{right}; most often, {worst}."


PLOTS = (
    Plot(
        "confusion",
        "Confusion",
        "Held-out examples by their class and the one that the saved model gave them; the colour "
        "is the share of the true class.",
        lambda histories: bool(_found(histories)),
        _draw,
        _told,
        height=_height,
    ),
)
