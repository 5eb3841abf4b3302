"""Dense layers, forwards and backwards, and the choices that go with them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from app.layout import Vector
from app.models.losses import sigmoid

Initialiser = Callable[[np.random.Generator, int, int], npt.NDArray[np.float64]]


def affine(inputs: Any, weights: Vector, bias: Vector) -> Vector:
    """Give ``inputs @ weights + bias``: (n, n_in), (n_in, n_out), (n_out,) to (n, n_out).

    The inputs may be a ``csr_array``; the outputs are dense.
    """
    outputs: Vector = inputs @ weights
    outputs += bias
    return outputs


def affine_gradient(inputs: Any, delta: Vector, weights: Vector, bias: Vector) -> None:
    """Overwrite ``weights`` and ``bias`` with the gradients of the loss by them.

    ``delta`` (n, n_out) is the gradient of the loss by the layer's outputs.
    """
    if isinstance(inputs, np.ndarray):
        np.matmul(inputs.T, delta, out=weights)
    else:
        weights[...] = inputs.T @ delta
    np.sum(delta, axis=0, out=bias)


@dataclass(frozen=True)
class Activation:
    """A function of one number and its slope, both on arrays of any shape.

    ``apply`` works in place. ``slope`` is computed from the values that ``apply`` gave,
    so that backpropagation needs to keep nothing else.
    """

    apply: Callable[[Vector], Vector]
    slope: Callable[[Vector], npt.NDArray[Any]]


ACTIVATIONS: Mapping[str, Activation] = {
    "relu": Activation(lambda x: np.maximum(x, 0, out=x), lambda y: y > 0),
    "tanh": Activation(lambda x: np.tanh(x, out=x), lambda y: 1 - y * y),
    "sigmoid": Activation(sigmoid, lambda y: y * (1 - y)),
}


def glorot_uniform(rng: np.random.Generator, n_in: int, n_out: int) -> npt.NDArray[np.float64]:
    """Draw uniformly with variance 2 / (n_in + n_out) (Glorot & Bengio 2010, eq. 16)."""
    bound = math.sqrt(6 / (n_in + n_out))
    return rng.uniform(-bound, bound, (n_in, n_out))


def he_normal(rng: np.random.Generator, n_in: int, n_out: int) -> npt.NDArray[np.float64]:
    """Draw normally with variance 2 / n_in (He et al. 2015, eq. 10), made for ReLU."""
    return rng.normal(0, math.sqrt(2 / n_in), (n_in, n_out))


INITIALISERS: Mapping[str, Initialiser] = {"glorot": glorot_uniform, "he": he_normal}
