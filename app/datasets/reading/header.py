"""Whether the first line of a table holds the names of its columns."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from typing import Any

from distbelief.app.datasets.reading.columns import known_targets
from distbelief.app.datasets.reading.notation import Notation
from distbelief.app.errors import DataError

#: Columns from which on a first line of 0, 1, 2, ... is certainly one of names, and from which
#: on one of consecutive numbers may be.
_SURE, _UNCLEAR = 4, 3


def has_header(
    rows: Sequence[Sequence[str]], wanted: Collection[str], notation: Notation, source: str
) -> bool:
    """Look whether the first of ``rows`` differs from data as names do.

    It does if it has a name that is ``wanted``, or common for targets, and that no other
    row has in this column; or if it has no numbers where the second row has some; or if it
    counts the columns, from 0 or 1, as programs do that know no names.

    Raises:
        DataError: it may be either; a wrong guess would lose an example or invent one.
    """
    first = [field.strip() for field in rows[0]]
    named = [i for i, field in enumerate(first) if field in wanted] + known_targets(first)
    distinct = len(set(first)) == len(first)
    if distinct and any(all(row[i : i + 1] != [first[i]] for row in rows[1:]) for i in named):
        return True
    texts = {i for i, field in enumerate(first) if _is_text(field, notation)}
    if not texts:
        return _counts_columns(rows, source)
    no_numbers = not any(is_number(field, notation) for field in first)
    if len(rows) == 1:
        return no_numbers
    differs = any(i in texts and is_number(field, notation) for i, field in enumerate(rows[1]))
    if no_numbers != differs:
        raise _unclear(source)
    return differs


def wanted_names(settings: Mapping[str, Any]) -> set[str]:
    """The names by which options call columns."""
    options = ("ignore", "dates", "categorical", "numeric")
    keys = (
        settings["target"],
        settings["weight"],
        *chain.from_iterable(settings[name] or () for name in options),
    )
    return {key for key in keys if key and key != "*" and not key.isdecimal()}


def is_number(field: str, notation: Notation) -> bool:
    try:
        notation.number(field.encode())
    except ValueError:
        return False
    return True


def _is_text(field: str, notation: Notation) -> bool:
    return not is_number(field, notation) and not notation.is_missing(field.encode())


def _counts_columns(rows: Sequence[Sequence[str]], source: str) -> bool:
    """Whether the first line, all numbers, is 0, 1, 2, ...; where it may be, it is asked for."""
    first = [field.strip() for field in rows[0]]
    indexed = first[0] == "" and len(first) > 1  # above an index there is nothing
    numbers = first[1:] if indexed else first
    if not all(field.isdecimal() and field.isascii() and len(field) < 9 for field in numbers):
        return False
    start = int(numbers[0])
    if numbers != [str(start + i) for i in range(len(numbers))]:
        return False
    if len(rows) == 1:
        return False
    if start in (0, 1) and (indexed or len(numbers) >= _SURE):
        return True
    if len(numbers) < _UNCLEAR:
        return False
    raise _unclear(source)


def _unclear(source: str) -> DataError:
    return DataError(
        f"{source}: line 1 may hold names or data: say which with the option header=true or the "
        "option header=false"
    )
