"""Fully connected networks for classification."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from app.errors import ModelError
from app.layout import TensorSpec, Vector, views
from app.models.layers import ACTIVATIONS, INITIALISERS, affine, affine_gradient
from app.models.losses import cross_entropy, silently, softmax
from app.models.model import Features, Targets, Task


@dataclass(frozen=True)
class MLP:
    """Dense layers, the same activation after each but the last, softmax at the end.

    Tensors: ``layer0.weights`` (n_features, hidden[0]), ``layer0.bias`` (hidden[0],) and
    so on to n_classes; biases begin at zero and are free of the L2 term. Without hidden
    layers this is softmax regression.

    Raises:
        ModelError: a hidden layer without units, an unknown activation or init.
    """

    n_features: int
    n_classes: int
    hidden: tuple[int, ...] = (64,)
    activation: str = "relu"
    init: str = "glorot"

    def __post_init__(self) -> None:
        if any(units < 1 for units in self.hidden):
            raise ModelError(f"every hidden layer needs at least 1 unit, got {self.hidden}")
        _check_known("activation", self.activation, ACTIVATIONS)
        _check_known("init", self.init, INITIALISERS)

    @property
    def task(self) -> Task:
        return Task.MULTICLASS

    @cached_property
    def tensors(self) -> tuple[TensorSpec, ...]:
        sizes = pairwise((self.n_features, *self.hidden, self.n_classes))
        return tuple(
            tensor
            for layer, (n_in, n_out) in enumerate(sizes)
            for tensor in (
                TensorSpec(f"layer{layer}.weights", (n_in, n_out)),
                TensorSpec(f"layer{layer}.bias", (n_out,), penalised=False),
            )
        )

    def initial(self, rng: np.random.Generator) -> Vector:
        parameters = np.zeros(sum(tensor.size for tensor in self.tensors))
        for weights, _ in self._layers(parameters):
            weights[...] = INITIALISERS[self.init](rng, *weights.shape)
        return parameters

    @silently
    def loss_and_gradient(
        self, parameters: Vector, features: Features, targets: Targets, gradient: Vector
    ) -> float:
        *inputs, delta = self._forward(parameters, features)
        loss = cross_entropy(delta, targets)
        layers, gradients = self._layers(parameters), self._layers(gradient)
        for layer in reversed(range(len(layers))):
            affine_gradient(inputs[layer], delta, *gradients[layer])
            if layer > 0:  # the features need no gradient
                delta = delta @ layers[layer][0].T
                delta *= ACTIVATIONS[self.activation].slope(inputs[layer])
        return loss

    @silently
    def predict(self, parameters: Vector, features: Features) -> Vector:
        return softmax(self._forward(parameters, features)[-1])

    def _layers(self, vector: Vector) -> list[tuple[Vector, Vector]]:
        """View ``vector`` as (weights, bias) of each layer."""
        tensors = views(vector, self.tensors)
        return list(zip(tensors[::2], tensors[1::2], strict=True))

    def _forward(self, parameters: Vector, features: Features) -> list[Vector]:
        """Compute the inputs of every layer, then the outputs of the last, before softmax."""
        values: list[Vector] = [features.astype(parameters.dtype, copy=False)]
        for weights, bias in self._layers(parameters):
            if len(values) > 1:  # the features enter as they are
                ACTIVATIONS[self.activation].apply(values[-1])
            values.append(affine(values[-1], weights, bias))
        return values


def _check_known(setting: str, value: str, known: Collection[str]) -> None:
    if value not in known:
        raise ModelError(f'unknown {setting} "{value}": use one of {", ".join(known)}')
