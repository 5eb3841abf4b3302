"""Figures as files and as pictures of a page: what reports, comparisons and plans share."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import matplotlib
from matplotlib.figure import Figure

from distbelief.coordinator.report.hints import Hint, hints
from distbelief.coordinator.report.plots.theme import DARK, LIGHT, Theme

#: Inches: the width of half a page and of a whole one, and dots in each for PNG.
HALF, WHOLE, DOTS = 5.4, 11.0, 144

#: Points in an inch, in which an SVG counts.
POINTS = 72

#: Nothing in a file tells when it was drawn: the same run gives the same bytes.
_METADATA: dict[str, dict[str, None]] = {"svg": {"Date": None}, "png": {"Software": None}}

Draw = Callable[[Figure, Theme], None]


@dataclass(frozen=True)
class Picture:
    """A figure as a page shows it: SVG as data URIs, and hints that lie over it."""

    title: str
    caption: str
    alt: str
    wide: bool
    width: float
    height: float
    light: str
    dark: str
    hints: tuple[Hint, ...]


def render(draw: Draw, width: float, height: float, theme: Theme, form: str) -> bytes:
    """Draw a figure of that size in inches as a file of that form: svg or png."""
    return _drawn(draw, (width, height), theme, form)[0]


def picture(
    draw: Draw, width: float, height: float, title: str, told: str, caption: str
) -> Picture:
    """Draw a figure of that size in inches for a page; ``told`` is what it shows in words."""
    points = width * POINTS, height * POINTS
    svg, figure = _drawn(draw, (width, height), LIGHT, "svg")
    dark = render(draw, width, height, DARK, "svg")
    found = tuple(hints(figure, points))
    alt, wide = f"{title}: {told}", width > HALF
    return Picture(title, caption, alt, wide, *points, uri(svg), uri(dark), found)


def _drawn(
    draw: Draw, inches: tuple[float, float], theme: Theme, form: str
) -> tuple[bytes, Figure]:
    buffer = io.BytesIO()
    with matplotlib.rc_context(theme.settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # a run's odd name
        figure = Figure(figsize=inches, layout="constrained")
        draw(figure, theme)
        figure.savefig(buffer, format=form, dpi=DOTS, metadata=_METADATA[form])
    return buffer.getvalue(), figure


def uri(svg: bytes) -> str:
    """A picture as a data URI."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
