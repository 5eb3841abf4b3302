"""Models of one affine layer; they differ in the loss and in what they predict."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np

from distbelief.app.layout.tensors import TensorSpec, Vector, views
from distbelief.app.models.by_column import ByColumn
from distbelief.app.models.heads import CLASSES, LOG_ODDS, VALUE, Head
from distbelief.app.models.layers import affine, affine_gradient
from distbelief.app.models.losses import silently
from distbelief.app.models.model import Features, Targets, Task, Weights
from distbelief.app.models.scaling import Scaling


@dataclass(frozen=True)
class _OneLayer(ByColumn):
    """``outputs = features @ weights + bias``, of shape (n, n_outputs).

    Tensors: weights (n_features, n_outputs) and bias (n_outputs,), the latter free of
    the L2 term. All begin at zero: the losses are convex. On sparse data the weights are
    sparse: an example touches those of its features.
    """

    sparse: bool = field(default=False, kw_only=True)

    head: ClassVar[Head]

    @property
    def task(self) -> Task:
        return self.head.task

    @property
    def n_outputs(self) -> int:
        return 1

    @cached_property
    def tensors(self) -> tuple[TensorSpec, ...]:
        return (
            TensorSpec(
                "weights",
                (self.n_features, self.n_outputs),
                sparse=self.sparse,
                spread=0.0 if self.sparse else None,
            ),
            TensorSpec("bias", (self.n_outputs,), penalised=False),
        )

    def initial(self, rng: np.random.Generator) -> Vector:
        return np.zeros(sum(t.size for t in self.tensors if t.spread is None))

    @silently
    def loss_and_gradient(
        self,
        parameters: Vector,
        features: Features,
        targets: Targets,
        gradient: Vector,
        weights: Weights = None,
    ) -> float:
        features = features.astype(parameters.dtype, copy=False)
        outputs = affine(features, *views(parameters, self.tensors))
        loss = self.head.loss(outputs, targets, weights)
        affine_gradient(features, outputs, *views(gradient, self.tensors))
        return loss

    @silently
    def predict(self, parameters: Vector, features: Features) -> Vector:
        features = features.astype(parameters.dtype, copy=False)
        return self.head.prediction(affine(features, *views(parameters, self.tensors)))

    def folded(self, parameters: Vector, scaling: Scaling) -> Vector:
        folded = parameters.astype(np.float64)
        weights, bias = views(folded, self.tensors)
        scaling.fold_columns(weights, bias)
        if self.task is Task.REGRESSION:
            scaling.fold_targets(weights, bias=bias)
        return folded

    def pull_back(self, gradient: Vector, scaling: Scaling) -> None:
        scaling.pull_back(*views(gradient, self.tensors))


@dataclass(frozen=True)
class LinearRegression(_OneLayer):
    """Least squares: the loss is half the mean squared error."""

    head = VALUE


@dataclass(frozen=True)
class LogisticRegression(_OneLayer):
    """Two classes, labelled 0 and 1: the output is the log-odds of class 1."""

    head = LOG_ODDS


@dataclass(frozen=True)
class SoftmaxRegression(_OneLayer):
    """Multinomial logistic regression, one output for each class."""

    n_classes: int

    head = CLASSES

    @property
    def n_outputs(self) -> int:
        return self.n_classes
