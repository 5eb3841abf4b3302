"""Tensors of a model: their names and shapes, and views of them in a flat vector."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class TensorSpec:
    """Name and shape of one tensor of a model.

    ``penalised`` tells whether the L1 and L2 terms of the objective cover the tensor; biases
    are left out, as in scikit-learn. ``sparse`` says that an example touches few of its
    rows. With a ``spread``, its numbers begin evenly drawn between -spread and spread
    (:mod:`distbelief.app.layout.draws`), or at zero; without one, the model says where they begin.
    """

    name: str
    shape: tuple[int, ...]
    penalised: bool = True
    sparse: bool = False
    spread: float | None = None

    @property
    def size(self) -> int:
        return math.prod(self.shape)


def views(vector: Vector, tensors: Sequence[TensorSpec]) -> list[Vector]:
    """The tensors as views into the flat ``vector`` of shape (D,): no copies."""
    arrays, start = [], 0
    for tensor in tensors:
        arrays.append(vector[start : start + tensor.size].reshape(tensor.shape))
        start += tensor.size
    return arrays
