"""All columns of a table, as options and messages call them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from distbelief.app.datasets.examples.column import listing
from distbelief.app.datasets.reading.spelling import hint
from distbelief.app.errors import DataError

_LISTED = 20  # columns in a message


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

    def as_category(self, column: int) -> str:
        """How to say that a column holds categories."""
        return f"the option categorical={self.listing([column])} takes each value as a category"

    def key(self, column: int) -> str:
        """A column as options call it."""
        return self.names[column] if self.names else str(column)

    def listing(self, columns: Iterable[int]) -> str:
        """Columns as the list that an option is, and as a shell takes it."""
        return listing(map(self.key, columns))

    def twice(self, column: int | None) -> DataError:
        name = self.names[column] if self.names and column is not None else column
        return DataError(
            f"{self.source}: column {name!r} can be only one of target, weight, ignored, "
            "categorical, numeric, dates"
        )
