"""Fully connected layers, forwards and backwards, and the choices that go with them."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from distbelief.app.errors import ModelError
from distbelief.app.layout.tensors import TensorSpec, Vector
from distbelief.app.models.losses import sigmoid

#: Weights (n_in, n_out) and bias (n_out,).
Layer = tuple[Vector, Vector]

#: OpenBLAS multiplies matrices of at most so many products by kernels that pack nothing
#: first, at twice the speed; for layers with few outputs that is worth cutting the examples.
UNPACKED_PRODUCTS = 1_000_000

#: With fewer examples than this at a time, the many small calls cost more than they save.
LEAST_EXAMPLES = 32

Initialiser = Callable[[np.random.Generator, int, int], npt.NDArray[np.float64]]


def affine(inputs: Any, weights: Vector, bias: Vector) -> Vector:
    """Give ``inputs @ weights + bias``: (n, n_in), (n_in, n_out), (n_out,) to (n, n_out).

    The inputs may be a ``csr_array``; the outputs are dense.
    """
    outputs: Vector
    if isinstance(inputs, np.ndarray):
        outputs = np.empty((len(inputs), weights.shape[1]), np.result_type(inputs, weights))
        for part in _parts(inputs, weights):
            np.matmul(inputs[part], weights, out=outputs[part])
    else:
        outputs = inputs @ weights
    outputs += bias
    return outputs


def affine_gradient(inputs: Any, delta: Vector, weights: Vector, bias: Vector) -> None:
    """Overwrite ``weights`` and ``bias`` with the gradients of the loss by them.

    ``delta`` (n, n_out) is the gradient of the loss by the layer's outputs.
    """
    if isinstance(inputs, np.ndarray):
        first, *others = _parts(inputs, weights)
        np.matmul(inputs[first].T, delta[first], out=weights)
        for part in others:
            weights += inputs[part].T @ delta[part]
    else:
        weights[...] = inputs.T @ delta
    np.sum(delta, axis=0, out=bias)


def _parts(inputs: npt.NDArray[Any], weights: Vector) -> Iterator[slice]:
    """The examples of ``inputs`` (n, n_in) in parts that a product with ``weights`` is fast on.

    At least one part, which may be empty.
    """
    n, at_a_time = max(1, len(inputs)), UNPACKED_PRODUCTS // weights.size
    at_a_time = at_a_time if at_a_time >= LEAST_EXAMPLES else n
    for start in range(0, n, at_a_time):
        yield slice(start, start + at_a_time)


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


def layer_tensors(sizes: Sequence[int]) -> tuple[TensorSpec, ...]:
    """``layer0.weights``, ``layer0.bias`` and so on, for ``sizes`` from the input to the output."""
    return tuple(
        tensor
        for layer, (n_in, n_out) in enumerate(pairwise(sizes))
        for tensor in (
            TensorSpec(f"layer{layer}.weights", (n_in, n_out)),
            TensorSpec(f"layer{layer}.bias", (n_out,), penalised=False),
        )
    )


def forward(layers: Sequence[Layer], inputs: Any, activation: str) -> list[Any]:
    """Give the inputs of every layer, then the outputs of the last, before any activation."""
    values = [inputs]
    for weights, bias in layers:
        if len(values) > 1:  # the features enter as they are
            ACTIVATIONS[activation].apply(values[-1])
        values.append(affine(values[-1], weights, bias))
    return values


def backward(
    layers: Sequence[Layer],
    gradients: Sequence[Layer],
    inputs: Sequence[Any],
    delta: Vector,
    activation: str,
) -> Vector:
    """Overwrite ``gradients``, given the ``inputs`` of :func:`forward`.

    ``delta`` (n, n_outputs) is the gradient of the loss by the last layer's outputs; that
    by the outputs of the first layer is returned.
    """
    for layer in reversed(range(len(layers))):
        affine_gradient(inputs[layer], delta, *gradients[layer])
        if layer > 0:  # the features need no gradient
            delta = delta @ layers[layer][0].T
            delta *= ACTIVATIONS[activation].slope(inputs[layer])
    return delta


def check_layers(hidden: Sequence[int], activation: str, init: str) -> None:
    """Raise ModelError for a hidden layer without units, an unknown activation or init."""
    if any(units < 1 for units in hidden):
        raise ModelError(f"every hidden layer needs at least 1 unit, got {hidden}")
    _check_known("activation", activation, ACTIVATIONS)
    _check_known("init", init, INITIALISERS)


def _check_known(setting: str, value: str, known: Collection[str]) -> None:
    if value not in known:
        raise ModelError(f'unknown {setting} "{value}": use one of {", ".join(known)}')


def glorot_uniform(rng: np.random.Generator, n_in: int, n_out: int) -> npt.NDArray[np.float64]:
    """Draw uniformly with variance 2 / (n_in + n_out) (Glorot & Bengio 2010, eq. 16)."""
    bound = math.sqrt(6 / (n_in + n_out))
    return rng.uniform(-bound, bound, (n_in, n_out))


def he_normal(rng: np.random.Generator, n_in: int, n_out: int) -> npt.NDArray[np.float64]:
    """Draw normally with variance 2 / n_in (He et al. 2015, eq. 10), made for ReLU."""
    return rng.normal(0, math.sqrt(2 / n_in), (n_in, n_out))


INITIALISERS: Mapping[str, Initialiser] = {"glorot": glorot_uniform, "he": he_normal}


def spread(init: str, n_in: int, n_out: int) -> float:
    """Half the width of the even distribution around 0 with the variance of ``init``."""
    return math.sqrt(6 / (n_in + n_out if init == "glorot" else n_in))


def first_layers(rng: np.random.Generator, tensors: Sequence[TensorSpec], init: str) -> Vector:
    """Draw the weights among ``tensors`` of layers, in order; biases begin at zero. Flat."""
    draw = INITIALISERS[init]
    parts = [
        draw(rng, *t.shape).ravel() if len(t.shape) == 2 else np.zeros(t.size) for t in tensors
    ]
    return np.concatenate(parts)
