"""Tables on terminals: as many whole columns as there is room for."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from textwrap import wrap

from rich.cells import cell_len
from rich.text import Text

#: Between columns.
GAP = "  "

#: Characters of a line where nothing limits them.
LONG = 10_000


def tabulate(
    cells: Sequence[Sequence[str]],
    width: int | None = None,
    *,
    first: Sequence[str] = (),
    right: Collection[str] = (),
) -> list[Text]:
    """Lines of a table, whose first row names the columns, of those in which there is something.

    In ``width`` characters, if they are limited, there are as many whole columns as fit, those
    that are named ``first`` before the others: what is cut is of no use to the next command. A
    last line says which are left out. Columns of numbers stand to the ``right``.
    """
    columns = [list(column) for column in zip(*cells, strict=True) if any(column[1:])]
    widths = {column[0]: max(map(cell_len, column)) for column in columns}
    shown = _fitting(widths, math.inf if width is None else width, first)
    kept = [column for column in columns if column[0] in shown]
    lines = [
        GAP.join(
            _padded(cell, widths[column[0]], to_right=column[0] in right)
            for cell, column in zip(row, kept, strict=True)
        ).rstrip()
        for row in zip(*kept, strict=True)
    ]
    left_out = ", ".join(name for name in widths if name not in shown)
    told = f"wider terminals and pipes show {left_out}" if left_out else ""
    return [Text(lines[0], style="bold"), *map(Text, [*lines[1:], *wrap(told, width or LONG)])]


def _fitting(widths: dict[str, int], room: float, first: Sequence[str]) -> set[str]:
    """The columns that fit; one at least."""
    shown = set[str]()
    for name in sorted(widths, key=lambda name: first.index(name) if name in first else len(first)):
        taken = widths[name] + (len(GAP) if shown else 0)
        if taken <= room or not shown:
            room -= taken
            shown.add(name)
    return shown


def _padded(cell: str, width: int, *, to_right: bool) -> str:
    space = " " * (width - cell_len(cell))
    return space + cell if to_right else cell + space
