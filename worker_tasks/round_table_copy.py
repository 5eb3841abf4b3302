"""A replica's copy in a training by rounds where some parameters are in tables.

The steps of a round are known beforehand, and so are the rows that they touch: these are fetched
once, before the round, and what its steps have changed is pushed once, behind it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from distbelief.app.layout.rows import Ids, TableRows
from distbelief.app.layout.tensors import Vector
from distbelief.worker_tasks.copies import Window
from distbelief.worker_tasks.round_copy import OwnState, RoundCopy
from distbelief.worker_tasks.row_states import RowStates
from distbelief.worker_tasks.table_copy import TableCopy


class RoundTableCopy(RoundCopy, TableCopy):
    """The dense tensors and the rows of a round, which the run's rule changes here.

    A round is a window. The state of a row goes on from the last round that touched it, with that
    of the dense tensors; the shards learn only what came of a round, and apply the outer rule to
    the rows that it touched.
    """

    by_window = True
    by_round = True

    #: Those of the window's rows, for each table; and the slots beside them, once steps need them.
    _rows_began: Sequence[Vector] = ()
    _beside: Sequence[Sequence[Vector]] | None = None

    def install(self, window: Window) -> None:
        super().install(window)
        self._rows_began = [values.copy() for values in window.fetched.tables]
        self._beside = None

    def take_accrued(self) -> tuple[Vector, list[TableRows]]:
        window = self._window
        assert window is not None
        taken, _ = super().take_accrued()
        tables = zip(window.rows, self._rows_began, window.fetched.tables, strict=True)
        with np.errstate(over="ignore", invalid="ignore"):
            rows = [TableRows(ids, began - values) for ids, began, values in tables]
        if self._state is None:  # the round is spoilt
            for each in rows:
                each.values.fill(np.nan)
        else:
            states = zip(self._state.rows, window.rows, *self._row_slots(), strict=True)
            for kept, ids, *slots in states:
                kept.keep(ids, slots)
        return taken, rows

    def _fetch_row_slots(self, rows: Sequence[Ids]) -> Sequence[Sequence[Vector]]:
        """Nothing: the state of the rule is here."""
        return ()

    def _row_slots(self) -> Sequence[Sequence[Vector]]:
        window, state = self._window, self._state
        assert window is not None
        assert state is not None
        if self._beside is None:
            tables = zip(state.rows, window.rows, window.fetched.tables, strict=True)
            beside = [kept.beside(ids, values) for kept, ids, values in tables]
            self._beside = [*zip(*beside, strict=True)]
        return self._beside

    def _all_slots(self) -> list[Vector]:
        return [*self._slots, *(values for slot in self._row_slots() for values in slot)]

    def _accrue_rows(
        self, rows: Sequence[Ids], gradients: list[Vector], indices: list[Ids]
    ) -> None:
        self._last_rows = [self._standing_for_many(each) for each in gradients], indices

    def _go_on_with(self, state: OwnState) -> None:
        super()._go_on_with(state)
        self._beside = None
        if not state.rows:
            tables, dtype = self._store.layout.tables, self._parameters.dtype
            state.rows = [RowStates(table, self._rule, dtype) for table in tables]
