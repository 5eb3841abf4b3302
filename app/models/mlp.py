"""Fully connected networks, for classification and regression."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from distbelief.app.layout.tensors import TensorSpec, Vector, views
from distbelief.app.models.by_column import ByColumn
from distbelief.app.models.heads import CLASSES, VALUE, Head
from distbelief.app.models.layers import (
    Layer,
    backward,
    check_layers,
    first_layers,
    forward,
    layer_tensors,
    spread,
)
from distbelief.app.models.losses import silently
from distbelief.app.models.model import Features, Targets, Task, Weights
from distbelief.app.models.scaling import Scaling


@dataclass(frozen=True)
class MLP(ByColumn):
    """Dense layers, the same activation after each but the last, softmax at the end.

    Without classes the last layer has one output, the value, and the loss is half the mean
    squared error. Tensors: ``layer0.weights`` (n_features, hidden[0]), ``layer0.bias``
    (hidden[0],) and so on to n_classes; biases begin at zero and are free of the L2 term.
    Without hidden layers this is softmax regression, or least squares. On sparse data the first
    weights are sparse, and drawn evenly with the variance of ``init``.

    Raises:
        ModelError: a hidden layer without units, an unknown activation or init.
    """

    n_classes: int
    hidden: tuple[int, ...] = (64,)
    activation: str = "relu"
    init: str = "glorot"
    sparse: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        check_layers(self.hidden, self.activation, self.init)

    @property
    def head(self) -> Head:
        return CLASSES if self.n_classes else VALUE

    @property
    def task(self) -> Task:
        return self.head.task

    @cached_property
    def tensors(self) -> tuple[TensorSpec, ...]:
        first, *rest = layer_tensors((self.n_features, *self.hidden, max(1, self.n_classes)))
        if self.sparse:
            first = replace(first, sparse=True, spread=spread(self.init, *first.shape))
        return (first, *rest)

    def initial(self, rng: np.random.Generator) -> Vector:
        return first_layers(rng, [t for t in self.tensors if t.spread is None], self.init)

    @silently
    def loss_and_gradient(
        self,
        parameters: Vector,
        features: Features,
        targets: Targets,
        gradient: Vector,
        weights: Weights = None,
    ) -> float:
        layers = self._layers(parameters)
        *inputs, delta = self._forward(layers, features)
        loss = self.head.loss(delta, targets, weights)
        backward(layers, self._layers(gradient), inputs, delta, self.activation)
        return loss

    @silently
    def loss(
        self, parameters: Vector, features: Features, targets: Targets, weights: Weights = None
    ) -> float:
        """That of :meth:`loss_and_gradient`, which evaluations need at a third of the cost."""
        outputs = self._forward(self._layers(parameters), features)[-1]
        return self.head.loss(outputs, targets, weights)

    @silently
    def predict(self, parameters: Vector, features: Features) -> Vector:
        return self.head.prediction(self._forward(self._layers(parameters), features)[-1])

    def folded(self, parameters: Vector, scaling: Scaling) -> Vector:
        folded = parameters.astype(np.float64)
        (weights, bias), *_ = layers = self._layers(folded)
        scaling.fold_columns(weights, bias)
        if self.task is Task.REGRESSION:
            scaling.fold_targets(layers[-1][0], bias=layers[-1][1])
        return folded

    def pull_back(self, gradient: Vector, scaling: Scaling) -> None:
        scaling.pull_back(*self._layers(gradient)[0])

    def _layers(self, vector: Vector) -> list[Layer]:
        """View ``vector`` as (weights, bias) of each layer."""
        tensors = views(vector, self.tensors)
        return list(zip(tensors[::2], tensors[1::2], strict=True))

    def _forward(self, layers: list[Layer], features: Features) -> list[Vector]:
        inputs = features.astype(layers[0][0].dtype, copy=False)
        return forward(layers, inputs, self.activation)
