"""Colours and styles of figures, on white paper and on a dark screen.

The colours are those of Okabe and Ito (2008), which people tell apart who do not see all
colours; what they tell is told a second time by a line's style, a marker or a hatch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: Runs, or workers, that can be told apart in one figure.
MOST_COLOURS = 6
MARKERS = ("o", "s", "^", "D", "v", "P")


@dataclass(frozen=True)
class Theme:
    """Colours of text and lines; ``series`` tells runs apart, ``map_name`` is for amounts."""

    name: str
    paper: str
    ink: str
    faint: str
    grid: str
    series: tuple[str, ...]
    map_name: str

    @property
    def settings(self) -> Any:
        """For :func:`matplotlib.rc_context`, whose type names every setting that there is."""
        return {
            "figure.facecolor": self.paper,
            "axes.facecolor": self.paper,
            "savefig.facecolor": self.paper,
            "text.color": self.ink,
            "axes.labelcolor": self.ink,
            "axes.edgecolor": self.faint,
            "axes.titlecolor": self.ink,
            "axes.titlesize": "medium",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "axes.xmargin": 0.02,
            "grid.color": self.grid,
            "grid.linewidth": 0.6,
            "xtick.color": self.faint,
            "ytick.color": self.faint,
            "xtick.labelcolor": self.ink,
            "ytick.labelcolor": self.ink,
            "legend.frameon": False,
            "legend.fontsize": "small",
            "font.size": 10,
            "font.family": "DejaVu Sans",
            "lines.linewidth": 1.6,
            "hatch.linewidth": 0.6,
            "svg.fonttype": "path",
            "svg.hashsalt": "report",
            "text.parse_math": False,
        }


LIGHT = Theme(
    "light",
    "#ffffff",
    "#1f2328",
    "#6e7781",
    "#e3e6ea",
    ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58900", "#56b4e9"),
    "cividis_r",
)
DARK = Theme(
    "dark",
    "#161b22",
    "#e6edf3",
    "#8b949e",
    "#2d333b",
    ("#56b4e9", "#ff8c42", "#2fc99b", "#e39ac4", "#f0e442", "#4d8fd6"),
    "cividis",
)
