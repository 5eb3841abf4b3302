"""What a figure says of the place under a pointer: values of lines, bars and fields.

A page lays them over the picture of the figure, which then needs no program to tell them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle, StepPatch
from matplotlib.transforms import Bbox

#: Places of a line, and fields of an image, that say something: more cannot be told apart.
MOST_PLACES, MOST_FIELDS = 120, 1_600

#: Points of a drawing: the least that a pointer meets, and what one line of text needs.
REACH, LINE = 10.0, 12.0

#: What artists say themselves, in one text for all that they are.
_texts: WeakKeyDictionary[Artist, str] = WeakKeyDictionary()

#: What each field of an image says, by row and column; an empty text is none.
_fields: WeakKeyDictionary[AxesImage, Callable[[int, int], str]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Hint:
    """A text for a place, in points from the upper left corner.

    The text stands at ``text_x`` and from ``text_y`` on downwards, ``anchor`` is its side there.
    """

    x: float
    y: float
    width: float
    height: float
    lines: tuple[str, ...]
    text_x: float
    text_y: float
    anchor: str


def number(value: float) -> str:
    """A number as people read it."""
    if not math.isfinite(value):
        return "unknown"
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e15 else f"{value:.4g}"


def tell(artist: Artist, text: str) -> None:
    """Have an artist say that text, in place of its numbers."""
    _texts[artist] = text


def tell_fields(image: AxesImage, text: Callable[[int, int], str]) -> None:
    """Have each field of an image say something."""
    _fields[image] = text


def hints(figure: Figure, points: tuple[float, float]) -> list[Hint]:
    """The hints of a figure that was drawn, whose width and height are so many points."""
    found = []
    for axes in figure.get_axes():
        for place, text in _said(axes):
            box = figure.transFigure.inverted().transform_bbox(place)
            found.append(_hint(box, text, points))
    return found


def _said(axes: Axes) -> Iterator[tuple[Bbox, str]]:
    """Places on the display, the widest first: what is drawn later is met first."""
    for image in axes.get_images():
        yield from _of_image(axes, image)
    for patch in axes.patches:
        if isinstance(patch, Rectangle) and patch in _texts:
            yield patch.get_window_extent(), _texts[patch]
    for line in axes.get_lines():
        if line in _texts:
            yield line.get_window_extent(), _texts[line]
    for patch in axes.patches:
        if isinstance(patch, StepPatch):
            values, edges, _ = patch.get_data()
            yield from _of_numbers(axes, patch, (edges[:-1] + edges[1:]) / 2, values)
    for line in axes.get_lines():
        if line not in _texts:
            yield from _of_numbers(axes, line, *line.get_data())


def _of_numbers(
    axes: Axes, artist: Line2D | StepPatch, x: Any, y: Any
) -> Iterator[tuple[Bbox, str]]:
    label = str(artist.get_label())
    if label.startswith("_"):
        return
    across, values = np.asarray(x, np.float64), np.asarray(y, np.float64)
    chosen = np.unique(np.linspace(0, len(values) - 1, min(len(values), MOST_PLACES)).astype(int))
    with np.errstate(all="ignore"):
        places = axes.transData.transform(np.column_stack([across, values])[chosen])
    for index, (left, low) in zip(chosen.tolist(), places.tolist(), strict=True):
        if not axes.bbox.padded(1).contains(left, low):  # NaN is in no box
            continue
        name = f"{label}: " if label else ""
        texts = f"{name}{number(values[index])}", f"{axes.get_xlabel()}: {number(across[index])}"
        yield Bbox.from_bounds(left, low, 0, 0), "\n".join(texts)


def _of_image(axes: Axes, image: AxesImage) -> Iterator[tuple[Bbox, str]]:
    text, shape = _fields.get(image), image.get_array()
    if text is None or shape is None or shape.size > MOST_FIELDS:
        return
    rows, columns = shape.shape[:2]
    left, right, bottom, top = image.get_extent()
    wide, high = (right - left) / columns, (bottom - top) / rows
    for row, column in np.ndindex(rows, columns):
        if said := text(row, column):
            corner = left + column * wide, top + row * high
            box = Bbox([corner, (corner[0] + wide, corner[1] + high)])
            yield axes.transData.transform_bbox(box), said


def _hint(box: Bbox, text: str, points: tuple[float, float]) -> Hint:
    """From shares of the figure, counted from below, to points, counted from above."""
    width, height = points
    wide, high = max(REACH, box.width * width), max(REACH, box.height * height)
    x, y = (box.x0 + box.x1) / 2 * width, (1 - (box.y0 + box.y1) / 2) * height
    lines = tuple(text.split("\n"))
    tall = LINE * len(lines)  # the first line stands on text_y
    above, below = y - high / 2 - tall, min(y + high / 2, height - tall)
    anchor = "start" if x < 0.3 * width else "end" if x > 0.7 * width else "middle"
    text_y = (above if above > 0 else below) + 0.75 * LINE
    return Hint(x - wide / 2, y - high / 2, wide, high, lines, x, text_y, anchor)
