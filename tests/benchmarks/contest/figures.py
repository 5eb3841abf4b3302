"""Pure functions from measurements to tables."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def medians(answers: Iterable[Mapping[str, Any]], names: Sequence[str]) -> dict[str, float | None]:
    """The median of each named figure over the rounds; None where a round has none."""
    rounds = list(answers)
    found: dict[str, float | None] = {}
    for name in names:
        values = [answer.get(name) for answer in rounds]
        known = [value for value in values if value is not None]
        # A target that was missed in one round was not reached in the typical one either,
        # if that is so in half of the rounds.
        found[name] = statistics.median(known) if 2 * len(known) > len(values) else None
    return found


def ratio(figure: float | None, ours: float | None) -> float | None:
    """How many times ``ours`` the figure is; None if either is unknown or ours is nothing."""
    if figure is None or not ours:
        return None
    return figure / ours


def shown(value: float | None, form: str = ",.3g") -> str:
    """A number for a table; a dash where there is none."""
    return "-" if value is None or not math.isfinite(value) else format(value, form)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Aligned columns: the first one to the left, numbers to the right."""
    cells = [list(head), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if index else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]


def in_proportion(sizes: Sequence[float], figures: Sequence[float]) -> list[float]:
    """The ideal line through the last point: cost in proportion to size."""
    return [figures[-1] * size / sizes[-1] for size in sizes]


def divided(counts: Sequence[int], figures: Sequence[float], cores: int) -> list[float]:
    """The ideal time of work divided by ``counts``, as many as ``cores`` at a time."""
    first = figures[0] * min(counts[0], cores)
    return [first / min(count, cores) for count in counts]
