"""Figures as files: what a report and a comparison share."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable

import matplotlib
from matplotlib.figure import Figure

from distbelief.coordinator.report.plots.theme import Theme

#: Inches: the width of half a page and of a whole one, and dots in each for PNG.
HALF, WHOLE, DOTS = 5.4, 11.0, 144

#: Nothing in a file tells when it was drawn: the same run gives the same bytes.
_METADATA: dict[str, dict[str, None]] = {"svg": {"Date": None}, "png": {"Software": None}}


def render(
    draw: Callable[[Figure, Theme], None], width: float, height: float, theme: Theme, form: str
) -> bytes:
    """Draw a figure of that size in inches as a file of that form: svg or png."""
    buffer = io.BytesIO()
    with matplotlib.rc_context(theme.settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # a run's odd name
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure, theme)
        figure.savefig(buffer, format=form, dpi=DOTS, metadata=_METADATA[form])
    return buffer.getvalue()


def uri(svg: bytes) -> str:
    """A picture as a data URI."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
