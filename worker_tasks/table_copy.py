"""A replica's copy of parameters of which some are in tables.

It is the dense tensors, and of the tables the rows that the minibatches of a window touch.
The order of the minibatches is known beforehand, so these rows are fetched together, and
nothing else of the tables ever comes here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import numpy as np

from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.split.partition import Rows
from distbelief.app.layout.keys import PARAMETERS, slot
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.rows import Ids, TableRows
from distbelief.app.layout.tensors import Vector
from distbelief.app.models.model import Model, Narrowed, SparseModel, weighed
from distbelief.app.models.parameters import joined, parted
from distbelief.app.optimizers.rule import Rule
from distbelief.app.settings.config import RunConfig
from distbelief.app.store.contract.parameters import ParameterStore
from distbelief.app.store.native.steps import local_step
from distbelief.worker_tasks.copies import Examples, FlatCopy, Window, clip


class TableCopy(FlatCopy):
    """The dense tensors, and the rows of the tables that a window touches.

    Local steps change rows only within a window: the next one brings its own.
    """

    by_window = True

    def __init__(
        self,
        model: Model,
        examples: Examples,
        store: ParameterStore,
        config: RunConfig,
        stream: int,
    ) -> None:
        super().__init__(model, examples, store, config, stream)
        self._window: Window | None = None
        self._last_rows: tuple[list[Vector], list[Ids]] = [], []
        self._accrued_rows: list[list[TableRows]] = [[] for _ in store.layout.tables]

    def fetch(self, first: int, stop: int) -> Window:
        minibatches = {}
        for step in range(first, stop):
            features, targets = self._examples.minibatch(step, self._config.batch_size)
            minibatches[step] = cast("SparseModel", self._model).narrowed(features), targets
        touched = zip(*(narrowed.rows for narrowed, _ in minibatches.values()), strict=True)
        rows = [_union(parts) for parts in touched]
        slots = self._fetch_row_slots(rows) if len(minibatches) > 1 else ()
        wire = self._config.wire
        fetched = self._store.fetch(PARAMETERS, stream=self._stream, rows=rows, wire=wire)
        return Window(fetched, minibatches, rows, slots)

    def install(self, window: Window) -> None:
        self._window = window
        super().install(window)

    def compute(self, step: int) -> tuple[float, int]:
        window = self._window
        assert window is not None
        narrowed, targets = window.minibatches[step]
        pairs = list(zip(window.rows, narrowed.rows, strict=True))
        indices = [np.searchsorted(there, rows) for there, rows in pairs]
        fetched = zip(window.fetched.tables, indices, strict=True)
        tables = [values[index] for values, index in fetched]
        tensors = narrowed.model.tensors
        vector = joined(tensors, self._parameters, tables)
        gradient = np.empty_like(vector)
        keyword = weighed(self._examples.weights(step, self._config.batch_size))
        loss = narrowed.model.loss_and_gradient(
            vector, narrowed.features, targets, gradient, **keyword
        )
        dense, of_tables = parted(tensors, gradient)
        self._penalise(dense, of_tables, tables, narrowed, len(targets))
        clip([dense, *of_tables], self._config.clip_norm)
        self._accrue(dense)
        self._accrue_rows(narrowed.rows, of_tables, indices)
        return loss, len(targets)

    def take_accrued(self) -> tuple[Vector, list[TableRows]]:
        accrued, _ = super().take_accrued()
        rows = [_summed(parts) for parts in self._accrued_rows]
        self._accrued_rows = [[] for _ in rows]
        return accrued, rows

    def _fetch_row_slots(self, rows: Sequence[Ids]) -> Sequence[Sequence[Vector]]:
        """The rows of each of the rule's slots, for local steps."""
        return [self._store.fetch(slot(name), rows=rows).tables for name in self._rule.slots]

    def _row_slots(self) -> Sequence[Sequence[Vector]]:
        """Those that local steps change, for each slot the rows of each table."""
        assert self._window is not None
        return self._window.slots

    def _accrue_rows(
        self, rows: Sequence[Ids], gradients: list[Vector], indices: list[Ids]
    ) -> None:
        """Add the gradient of a minibatch; its rows are those at ``indices`` of the window's."""
        self._last_rows = gradients, indices
        for accrued, ids, values in zip(self._accrued_rows, rows, gradients, strict=True):
            accrued.append(TableRows(ids, values))

    def _last_gradients(self) -> list[Vector]:
        return [self._last, *self._last_rows[0]]

    def _move(self, clock: int, rule: Rule) -> None:
        super()._move(clock, rule)
        window = self._window
        assert window is not None
        # Rows that only one step reads are fetched anew before another does.
        if len(window.minibatches) > 1 or self.by_round:
            slots = self._row_slots()
            for i, (gradient, index) in enumerate(zip(*self._last_rows, strict=True)):
                stored = [window.fetched.tables[i], *(each[i] for each in slots)]
                touched = [values[index] for values in stored]
                local_step(rule, gradient, touched, clock)
                for values, new in zip(stored, touched, strict=True):
                    values[index] = new

    def _penalise(
        self,
        dense: Vector,
        of_tables: Sequence[Vector],
        tables: Sequence[Vector],
        narrowed: Narrowed,
        n_examples: int,
    ) -> None:
        """Add the L2 term. A row's part of it is shared out among the examples that touch it.

        Every one of them carries the same share, so that the sum over a pass is the whole
        term, and no row has to be touched for its penalty alone (Niu et al. 2011, "Hogwild!",
        sec. 2, eq. 2.5).
        """
        if self._penalty is None:
            return
        dense += self._penalty * self._parameters
        layout = self._store.layout
        parts = zip(layout.tables, narrowed.rows, narrowed.counts, strict=True)
        for i, (table, rows, counts) in enumerate(parts):
            if table.spec.penalised:
                factor = (
                    (self._config.l2 or 0.0) * counts / n_examples / self._examples.shares[i][rows]
                )
                of_tables[i][...] += factor[:, None].astype(dense.dtype) * tables[i]


def shares_of(
    model: Model, dataset: Dataset, train: Iterable[Rows], layout: Layout
) -> list[Vector]:
    """For each table the share of the training examples that touch each row.

    ``train`` gives the rows of the data set a block at a time.
    """
    counts, n_examples = [np.zeros(table.n_rows, np.float32) for table in layout.tables], 0
    for block in train:
        narrowed = cast("SparseModel", model).narrowed(dataset.features[block])
        n_examples += len(block)
        for total, rows, here in zip(counts, narrowed.rows, narrowed.counts, strict=True):
            total[rows] += here
    return [total / n_examples for total in counts]


def _union(parts: Sequence[Ids]) -> Ids:
    """All rows of several minibatches, ascending."""
    if len(parts) == 1:
        return parts[0]
    rows = np.sort(np.concatenate(parts))
    found: Ids = rows[np.diff(rows, prepend=-1) != 0]
    return found


def _summed(parts: Sequence[TableRows]) -> TableRows:
    """Gradients of several minibatches; a row that several touch has their sum."""
    if len(parts) == 1:
        return parts[0]
    ids = _union([part.ids for part in parts])
    total = np.zeros((len(ids), parts[0].values.shape[1]), parts[0].values.dtype)
    for part in parts:
        total[np.searchsorted(ids, part.ids)] += part.values
    return TableRows(ids, total)
