"""Where a training begins: the model's own first values, and those drawn by their index."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from distbelief.app.errors import ModelError
from distbelief.app.layout.draws import drawn, keys
from distbelief.app.layout.tensors import TensorSpec, Vector
from distbelief.app.models.model import Model


def initial_values(tensors: Sequence[TensorSpec], model: Model, name: str, seed: int) -> Vector:
    """The first values of ``tensors`` as one vector, float64.

    ``tensors`` are those of the model, perhaps without some that have a spread.

    Raises:
        ModelError: ``initial`` of the model (called ``name``) gave other shapes, or NaN.
    """
    given = model.initial(np.random.default_rng(seed))
    size = sum(tensor.size for tensor in model.tensors if tensor.spread is None)
    if given.shape != (size,):
        raise ModelError(f"{name} must have {size} initial values, got shape {given.shape}")
    if not np.isfinite(given).all():
        raise ModelError(f"the initial values of {name} hold NaN or infinity")
    parts, start = [], 0
    for tensor in tensors:
        if tensor.spread is None:
            parts.append(given[start : start + tensor.size])
            start += tensor.size
        else:
            parts.append(drawn_values(tensor, seed, np.arange(tensor.size)))
    return np.concatenate(parts)


def drawn_values(
    tensor: TensorSpec, seed: int, numbers: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """The first values of some numbers of a tensor with a spread, by their flat index."""
    if not tensor.spread:
        return np.zeros(len(numbers))
    return tensor.spread * drawn(keys(seed, tensor.name), numbers)
