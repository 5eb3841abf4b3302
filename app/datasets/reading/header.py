"""Whether the first line of a table holds the names of its columns."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from distbelief.app.datasets.reading.columns import known_targets
from distbelief.app.datasets.reading.decimals import number
from distbelief.app.errors import DataError


def has_header(rows: Sequence[Sequence[str]], wanted: Collection[str], source: str) -> bool:
    """Look whether the first of ``rows`` differs from data as names do.

    It does if it has a name that is ``wanted``, or common for targets, and that no other
    row has in this column; or if it has no numbers where the second row has some.

    Raises:
        DataError: it may be either; a wrong guess would lose an example or invent one.
    """
    first = [field.strip() for field in rows[0]]
    named = [i for i, field in enumerate(first) if field in wanted] + known_targets(first)
    distinct = len(set(first)) == len(first)
    if distinct and any(all(row[i : i + 1] != [first[i]] for row in rows[1:]) for i in named):
        return True
    texts = {i for i, field in enumerate(first) if field and not is_number(field)}
    if not texts:
        return False
    no_numbers = not any(map(is_number, first))
    if len(rows) == 1:
        return no_numbers
    differs = any(i in texts and is_number(field) for i, field in enumerate(rows[1]))
    if no_numbers != differs:
        raise DataError(
            f"{source}: line 1 may hold names or data: say with the option header=true or "
            "header=false"
        )
    return differs


def is_number(field: str) -> bool:
    try:
        number(field.encode())
    except ValueError:
        return False
    return True
