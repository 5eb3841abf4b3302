"""Columns that tell rows apart."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

#: Rows after which it is certain that a column has a different value in each row.
ENOUGH_ROWS = 1 << 17


class Distinct:
    """Whether a column has a different value in each row."""

    def __init__(self) -> None:
        self.n_rows = 0
        self._seen: set[int] | None = set()

    def add(self, values: Iterable[Hashable]) -> None:
        for value in values:
            if self._seen is None or self.n_rows >= ENOUGH_ROWS:
                return
            self._seen.add(hash(value))
            self.n_rows += 1
            if len(self._seen) < self.n_rows:
                self._seen = None

    def forget(self) -> None:
        self._seen = None

    @property
    def holds(self) -> bool:
        return self._seen is not None

    @property
    def is_open(self) -> bool:
        """Whether more rows may change that."""
        return self.holds and self.n_rows < ENOUGH_ROWS
