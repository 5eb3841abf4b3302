"""Folding of a model's numbers; its sparse tensor may be a table of rows that were touched."""

from __future__ import annotations

import numpy as np

from distbelief.app.layout.rows import Ids, TableRows, Tables
from distbelief.app.layout.tensors import Vector
from distbelief.app.models.parameters import joined, parted
from distbelief.app.models.scaling import Foldable, Scaling


def fold(
    model: Foldable, scaling: Scaling, parameters: Vector, tables: Tables = ()
) -> tuple[Vector, Tables]:
    """The parameters that answer for raw columns as these do for scaled ones, in float64.

    With ``tables``, which hold the rows of the sparse tensor, ``parameters`` are the other tensors.
    """
    if not tables:
        return model.folded(parameters, scaling), tables
    (table,) = tables
    narrow, narrow_scaling = model.cut(table.ids, scaling)
    vector = joined(narrow.tensors, parameters, [table.values])
    dense, (values,) = parted(narrow.tensors, narrow.folded(vector, narrow_scaling))
    return dense, [TableRows(table.ids, values)]


def fold_untouched(
    model: Foldable, scaling: Scaling, parameters: Vector, table: TableRows, ids: Ids, drawn: Vector
) -> Vector:
    """Fold rows ``ids`` as they were drawn, beside ``parameters`` and a ``table`` that are folded.

    What becomes of a row may depend on those of the columns, which training touched.
    """
    n_columns = int(np.searchsorted(table.ids, scaling.n_columns))
    columns = TableRows(table.ids[:n_columns], table.values[:n_columns])
    dense, (before,) = fold(model, scaling.inverse, parameters, [columns])
    together = np.union1d(columns.ids, ids)
    values = np.empty((len(together), drawn.shape[1]))
    values[np.searchsorted(together, before.ids)] = before.values
    positions = np.searchsorted(together, ids)
    values[positions] = drawn
    _, (after,) = fold(model, scaling, dense, [TableRows(together, values)])
    return after.values[positions]


def shifted(parameters: Vector, log_odds: float) -> Vector:
    """Parameters with other log-odds of the positive class: our models' last number is a bias."""
    if not log_odds:
        return parameters
    found = parameters.astype(np.float64)
    found[-1] += log_odds
    return found
