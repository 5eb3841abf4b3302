"""The use of each column of a table: from its names, its first rows and the options."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from distbelief.app.datasets.examples.target_facts import TargetChoice
from distbelief.app.datasets.reading.apart import given
from distbelief.app.datasets.reading.column_plan import ColumnPlan
from distbelief.app.datasets.reading.spelling import hint
from distbelief.app.errors import DataError

#: Columns that hold the targets unless the option says otherwise; in any case of letters.
TARGET_NAMES = ("target", "label", "y", "class")

_LISTED = 20  # columns in a message


def plan_columns(
    columns: AllColumns, texts: Collection[int], settings: Mapping[str, Any], labelled: bool
) -> ColumnPlan:
    """Plan what each column is for.

    Args:
        columns: all that the file has.
        texts: positions of those that do not hold numbers.
        settings: the options of a table, all of them, checked.
        labelled: whether targets are wanted; else they are left out if they are there.

    Raises:
        DataError: a column does not exist or has two uses, or two have the same name.
    """
    columns.check()
    target = _target(columns, settings["target"], labelled)
    ignored = {columns.find("ignore", key) for key in settings["ignore"]}
    apart = apart_column(columns, settings, labelled=labelled)
    if apart is not None:
        ignored.add(apart)
    fields, given = set(texts), settings["categorical"]
    if given is not None:
        fields = {columns.find("categorical", key) for key in given}
        for column in (target, *ignored):
            if column in fields:
                raise columns.twice(column)
    if target in ignored:
        raise columns.twice(target)
    left = [i for i in range(columns.width) if i != target and i not in ignored]
    if not left:
        raise DataError(
            f"{columns.source}: no column is left for features, the file has "
            f"{columns.listed()}; is the option delimiter right?"
        )
    return ColumnPlan(
        names=columns.names,
        width=columns.width,
        target=target if labelled else None,
        dense=tuple(i for i in left if i not in fields),
        fields=tuple(i for i in left if i in fields),
        buckets=settings["buckets"],
        apart=apart,
    )


@dataclass(frozen=True)
class AllColumns:
    """The columns of a file.

    Attributes:
        names: empty where the file has none.
        width: number of columns.
        source: the file, for messages.
    """

    names: tuple[str, ...]
    width: int
    source: str

    def check(self) -> None:
        """Refuse two columns of the same name."""
        if len(self._positions) < len(self.names):
            name = next(each for i, each in enumerate(self.names) if self._positions[each] > i)
            raise DataError(f"{self.source}: two columns are called {name!r}, rename one")

    def find(self, option: str, key: str) -> int:
        """The column that the user calls ``key``: by name, else by position."""
        column = self.look_up(key)
        if column is None:
            raise DataError(
                f"{self.source}: option {option}: there is no column {key!r}, the file has "
                f"{self.listed()}{hint(key, self.names)}"
            )
        return column

    def look_up(self, key: str) -> int | None:
        if key in self._positions:
            return self._positions[key]
        return int(key) if key.isdecimal() and len(key) < 10 and int(key) < self.width else None

    @cached_property
    def _positions(self) -> dict[str, int]:
        """Each name's column: options may name a hundred thousand of them."""
        return {name: i for i, name in enumerate(self.names)}

    def listed(self) -> str:
        if not self.names:
            return f"columns 0 to {self.width - 1}, without names"
        more = f" and {self.width - _LISTED} more" if self.width > _LISTED else ""
        return ", ".join(map(repr, self.names[:_LISTED])) + more

    def twice(self, column: int | None) -> DataError:
        name = self.names[column] if self.names and column is not None else column
        return DataError(
            f"{self.source}: column {name!r} can be only one of target, ignored and categorical"
        )


def apart_column(columns: AllColumns, settings: Mapping[str, Any], *, labelled: bool) -> int | None:
    """The column that says how examples are divided; to predict, nobody needs it."""
    option = given(settings)
    return None if option is None or not labelled else columns.find(*option)


def _target(columns: AllColumns, given: str | None, labelled: bool) -> int | None:
    """The column that the features are without."""
    if given is not None:
        return columns.find("target", given) if labelled else columns.look_up(given)
    if not columns.names:
        return columns.width - 1 if labelled else None
    known = known_targets(columns.names)
    if len(known) > 1 or (labelled and not known):
        several = " and ".join(repr(columns.names[i]) for i in known)
        found = f"several columns, {several}, are" if known else "no column is"
        raise DataError(
            f"{columns.source}: {found} called {', '.join(TARGET_NAMES[:-1])} or "
            f"{TARGET_NAMES[-1]}: say with the option target which one holds the targets, the "
            f"file has {columns.listed()}"
        )
    return known[0] if known else None


def target_choice(
    plan: ColumnPlan, settings: Mapping[str, Any], *, header: bool | None
) -> TargetChoice:
    """Which column the plan takes for the targets, and why; ``header`` as in ``TargetChoice``."""
    if plan.target is None:
        return TargetChoice(header=header)
    if settings["target"] is not None:
        why = "as the option target says"
    else:
        why = "by its name" if plan.names else "the last one, as no header names one"
    return TargetChoice(plan.name(plan.target), why, header)


def known_targets(names: Sequence[str]) -> list[int]:
    """Positions of the names that a column of targets commonly has."""
    return [i for i, name in enumerate(names) if name.lower() in TARGET_NAMES]
