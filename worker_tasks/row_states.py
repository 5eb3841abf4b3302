"""The state of a replica's own rule beside rows of a table that its rounds have touched."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from distbelief.app.layout.layout import Table
from distbelief.app.layout.rows import Ids
from distbelief.app.layout.tensors import Vector
from distbelief.app.optimizers.rule import Rule

#: Rows for which there is room at first; where it is full, there is twice as much.
ROOM = 1024


class RowStates:
    """The slots of a rule, each of shape (n, width), for the n rows that were kept so far.

    Where a row's are is looked up in one number for each row of the table: memory of which only
    the pages that are written exist.
    """

    def __init__(self, table: Table, rule: Rule, dtype: np.dtype[np.floating]) -> None:
        self._rule = rule
        self._places = np.zeros(table.n_rows, np.uint32)  # counted from 1; 0 is none
        self._slots = [np.empty((ROOM, table.width), dtype) for _ in rule.slots]
        self._n_kept = 0

    def beside(self, ids: Ids, parameters: Vector) -> list[Vector]:
        """The slots of these rows, whose ``parameters`` are now these; new rows begin."""
        first = self._rule.initial_slots(parameters.astype(np.float64))
        places = self._places[ids]
        known = np.flatnonzero(places)
        found = []
        for name, kept in zip(self._rule.slots, self._slots, strict=True):
            values = first[name].astype(kept.dtype)
            values[known] = kept[places[known] - 1]
            found.append(values)
        fitting = self._rule.fitting(parameters, found)
        return [np.ascontiguousarray(each, parameters.dtype) for each in fitting]

    def keep(self, ids: Ids, slots: Sequence[Vector]) -> None:
        """Keep the slots of these rows until they are asked for again."""
        new = ids[self._places[ids] == 0]
        self._make_room(self._n_kept + len(new))
        self._places[new] = np.arange(self._n_kept, self._n_kept + len(new)) + 1
        self._n_kept += len(new)
        places = self._places[ids] - 1
        for kept, values in zip(self._slots, slots, strict=True):
            kept[places] = values

    def _make_room(self, n_rows: int) -> None:
        for index, kept in enumerate(self._slots):
            if n_rows > len(kept):
                larger = np.empty((max(n_rows, 2 * len(kept)), kept.shape[1]), kept.dtype)
                larger[: self._n_kept] = kept[: self._n_kept]
                self._slots[index] = larger
