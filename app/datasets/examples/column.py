"""One column of a user's table: what it is for, and how its values become features."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

NUMERIC, CATEGORICAL, DATE, IGNORED, TARGET, WEIGHT = KINDS = (
    "numeric",
    "categorical",
    "date",
    "ignored",
    "target",
    "weight",
)


@dataclass(frozen=True)
class Column:
    """A column of a table; a model remembers them all, in the order of the file.

    Attributes:
        kind: one of :data:`KINDS`. Dates are numbers, too: seconds since 1970.
        name: empty where it has none.
        origin: subtracted from each number before this is rounded to float32.
        fill: what stands for a number that is missing, in the user's units; None if nothing
            does.
        indicator: whether another feature says where a number is missing.
        missing: how many values are missing in the data that this was found in.
        remark: why it is left out, or what its user should know.
    """

    kind: str
    name: str = ""
    origin: float = 0.0
    fill: float | None = None
    indicator: bool = False
    missing: int = 0
    remark: str = ""

    @property
    def is_number(self) -> bool:
        return self.kind in (NUMERIC, DATE)

    def title(self, position: int) -> str:
        """The column as messages call it."""
        return f"column {self.name!r}" if self.name else f"column {position}"

    def but(self, **changes: Any) -> Column:
        """The column with other attributes, in a third of the time of ``dataclasses.replace``."""
        return Column(**{**vars(self), **changes})

    def to_json(self) -> dict[str, Any]:
        """All that is not as by default: a table may have many columns."""
        return {name: value for name, value in vars(self).items() if value != _DEFAULTS[name]}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Column:
        """The column of :meth:`to_json`; what a later version has added is passed over."""
        if _DEFAULTS.keys() >= document.keys():
            return cls(**document)
        return cls(**{name: document[name] for name in _DEFAULTS if name in document})


_DEFAULTS = {field.name: field.default for field in fields(Column)}


def listing(names: Iterable[str]) -> str:
    """Names of columns as an option on a command line, in a shell, takes them."""
    quoted = ('"{}"'.format(n.replace('"', '""')) if {*n} & {*',"'} else n for n in names)
    text = ",".join(quoted)
    try:
        means_itself = isinstance(json.loads(text), int) and text.isdecimal()
    except ValueError:
        means_itself = True
    return shlex.quote(text if means_itself else json.dumps(text))


def remarks(columns: Sequence[Column], n_examples: int) -> list[str]:
    """What their user should know of the columns of a table, a sentence each."""
    lines = []
    for position, column in enumerate(columns):
        title, key = column.title(position), listing([column.name or str(position)])
        if column.kind == IGNORED and column.remark:
            more = "" if column.remark.startswith("as ") else f" (the option keep={key} uses it)"
            lines.append(f"{title} is left out: {column.remark}{more}")
        elif column.remark:
            lines.append(f"{title}: {column.remark} (the option ignore={key} leaves it out)")
        if column.missing:
            lines.append(f"{title}: {_missing(column, n_examples)}")
        if column.origin:
            lines.append(f"{title}: float32 cannot hold it, {column.origin:.10g} is subtracted")
    return lines


def _missing(column: Column, n_examples: int) -> str:
    count = f"{column.missing:,} of {n_examples:,} values are missing"
    if column.kind == CATEGORICAL:
        return f"{count}, which is a category"
    return f"{count}, {column.fill:.6g} stands for them" if column.fill is not None else count
