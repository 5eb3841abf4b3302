"""Where a model's numbers come from, for the examples at hand.

All parameters may be one flat vector. Those of a model with tables are a flat vector of
its dense tensors, and rows that are looked up for the examples: then the model is cut down
to the rows that these touch (:class:`distbelief.app.models.model.Narrowed`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import numpy.typing as npt

from distbelief.app.layout.tensors import TensorSpec, Vector
from distbelief.app.models.model import Features, Model, SparseModel

#: A model, its parameters, and the examples as it takes them.
Cut = tuple[Model, Vector, Features]

#: Gives the cut for some examples.
Source = Callable[[Features], Cut]

#: Gives the rows of each table, shape (n, width), by their ids.
LookUp = Callable[[Sequence[npt.NDArray[np.int64]]], Sequence[Vector]]


def whole(model: Model, parameters: Vector) -> Source:
    """All numbers are in ``parameters``, shape (D,)."""
    return lambda features: (model, parameters, features)


def looked_up(model: Model, dense: Vector, look_up: LookUp) -> Source:
    """The sparse tensors' rows are looked up, the other tensors are in ``dense``."""

    def cut(features: Features) -> Cut:
        narrowed = cast("SparseModel", model).narrowed(features)
        vector = joined(narrowed.model.tensors, dense, look_up(narrowed.rows))
        return narrowed.model, vector, narrowed.features

    return cut


def joined(tensors: Sequence[TensorSpec], dense: Vector, tables: Sequence[Vector]) -> Vector:
    """The flat vector of all ``tensors`` from that of the dense ones and the sparse ones."""
    parts, start, rows = [], 0, iter(tables)
    for tensor in tensors:
        if tensor.sparse:
            parts.append(next(rows).ravel())
        else:
            parts.append(dense[start : start + tensor.size])
            start += tensor.size
    return np.concatenate(parts)


def parted(tensors: Sequence[TensorSpec], vector: Vector) -> tuple[Vector, list[Vector]]:
    """The other way round: sparse tensors as views of shape (rows, width)."""
    dense, tables, start = [], [], 0
    for tensor in tensors:
        part = vector[start : start + tensor.size]
        start += tensor.size
        if tensor.sparse:
            tables.append(part.reshape(tensor.shape[0], -1) if tensor.size else _no_rows(tensor))
        else:
            dense.append(part)
    return np.concatenate(dense), tables


def _no_rows(tensor: TensorSpec) -> Vector:
    return np.empty((0, int(np.prod(tensor.shape[1:]))))
