"""The fits as tables, for a terminal and for a document."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from contest.figures import shown, table
from untuned.fits import Cell, Fit, Row, rows

Text = Callable[[Cell], str]
NAMES = {False: "raw columns", True: "StandardScaler before"}


def tables(fits: Sequence[Fit], *, markdown: bool) -> list[str]:
    """Scores and log losses, of raw columns and of scaled ones."""
    lines: list[str] = []
    for scaled, title in NAMES.items():
        found = rows(fits, scaled=scaled)
        losses = {
            name: row for name, row in found.items() if any(cell.log_loss for cell in row.values())
        }
        if found:
            lines += _table(f"score, {title}", found, _score, markdown=markdown)
        if losses:
            lines += _table(f"log loss, {title}", losses, _loss, markdown=markdown)
    return lines


def _score(cell: Cell) -> str:
    if abs(cell.score) >= 100:
        return f"{cell.score:.0e}"
    return f"{cell.score:.3f}" + (f" ± {cell.spread:.3f}" if len(cell.fits) > 1 else "")


def _loss(cell: Cell) -> str:
    return shown(cell.log_loss, ".3f")


def _table(title: str, found: dict[str, Row], text: Text, *, markdown: bool) -> list[str]:
    names = list(dict.fromkeys(name for row in found.values() for name in row))
    head = [title, *names]
    cells = [
        [problem, *(text(row[name]) if name in row else "-" for name in names)]
        for problem, row in found.items()
    ]
    if not markdown:
        return [*table(head, cells), ""]
    lines = [head, ["---"] * len(head), *cells]
    return [*(f"| {' | '.join(line)} |" for line in lines), ""]
