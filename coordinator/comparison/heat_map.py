"""A map of losses by learning rate."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from distbelief.coordinator.report.arrays import Array
from distbelief.coordinator.report.plots.plot import plain_logs
from distbelief.coordinator.report.plots.theme import Theme


def heat_map(
    figure: Figure, theme: Theme, table: Array, across: Sequence[str], down: Sequence[str]
) -> None:
    """Losses by rate and method, each written into its field; what diverged is infinite."""
    axes, finite = figure.add_subplot(), table[np.isfinite(table) & (table > 0)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.1, 1.0)
    shown = np.where(np.isfinite(table), table, math.nan)
    norm = LogNorm(low, max(high, 1.01 * low))
    image = axes.imshow(shown, aspect="auto", cmap=theme.map_name, norm=norm)
    for (index, column), loss in np.ndenumerate(table):
        text = "diverged" if math.isinf(loss) else "" if math.isnan(loss) else f"{loss:.3g}"
        ink = theme.ink if not math.isfinite(loss) else _ink(image.cmap(norm(loss)))
        axes.text(column, index, text, ha="center", va="center", fontsize="small", color=ink)
    axes.set_xticks(range(len(across)), across)
    axes.set_yticks(range(len(down)), down, fontsize="small")
    axes.set_xlabel("learning rate")
    axes.grid(visible=False)
    bar = figure.colorbar(image, ax=axes, pad=0.01)
    bar.set_label("training loss at the end")
    plain_logs(bar.ax.yaxis)
    bar.outline.set_visible(False)


def _ink(field: Sequence[float]) -> str:
    """Black or white, whichever is read on a field of that colour."""
    red, green, blue, *_ = field
    return "#000000" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "#ffffff"
