"""Models of one affine layer; they differ in the loss and in what they predict."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from app.datasets.sparse import relabelled
from app.layout import TensorSpec, Vector, views
from app.models.layers import affine, affine_gradient
from app.models.losses import (
    cross_entropy,
    half_squared_error,
    log_loss,
    sigmoid,
    silently,
    softmax,
)
from app.models.model import Features, Narrowed, Targets, Task


@dataclass(frozen=True)
class _OneLayer(ABC):
    """``outputs = features @ weights + bias``, of shape (n, n_outputs).

    Tensors: weights (n_features, n_outputs) and bias (n_outputs,), the latter free of
    the L2 term. All begin at zero: the losses are convex. On sparse data the weights are
    sparse: an example touches those of its features.
    """

    n_features: int
    sparse: bool = field(default=False, kw_only=True)

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

    @property
    @abstractmethod
    def task(self) -> Task: ...

    def narrowed(self, features: Features) -> Narrowed:
        rows, counts, features = relabelled(features)
        return Narrowed(replace(self, n_features=len(rows)), features, (rows,), (counts,))

    @silently
    def loss_and_gradient(
        self, parameters: Vector, features: Features, targets: Targets, gradient: Vector
    ) -> float:
        features = features.astype(parameters.dtype, copy=False)
        outputs = affine(features, *views(parameters, self.tensors))
        loss = self._loss(outputs, targets)
        affine_gradient(features, outputs, *views(gradient, self.tensors))
        return loss

    @silently
    def predict(self, parameters: Vector, features: Features) -> Vector:
        features = features.astype(parameters.dtype, copy=False)
        return self._prediction(affine(features, *views(parameters, self.tensors)))

    @abstractmethod
    def _loss(self, outputs: Vector, targets: Targets) -> float:
        """Return the mean loss and leave its gradient in ``outputs``."""

    @abstractmethod
    def _prediction(self, outputs: Vector) -> Vector:
        """Turn ``outputs`` into predictions, perhaps in place."""


@dataclass(frozen=True)
class LinearRegression(_OneLayer):
    """Least squares: the loss is half the mean squared error."""

    @property
    def task(self) -> Task:
        return Task.REGRESSION

    def _loss(self, outputs: Vector, targets: Targets) -> float:
        return half_squared_error(outputs, targets)

    def _prediction(self, outputs: Vector) -> Vector:
        return outputs[:, 0]


@dataclass(frozen=True)
class LogisticRegression(_OneLayer):
    """Two classes, labelled 0 and 1: the output is the log-odds of class 1."""

    @property
    def task(self) -> Task:
        return Task.BINARY

    def _loss(self, outputs: Vector, targets: Targets) -> float:
        return log_loss(outputs, targets)

    def _prediction(self, outputs: Vector) -> Vector:
        return sigmoid(outputs[:, 0])


@dataclass(frozen=True)
class SoftmaxRegression(_OneLayer):
    """Multinomial logistic regression, one output for each class."""

    n_classes: int

    @property
    def n_outputs(self) -> int:
        return self.n_classes

    @property
    def task(self) -> Task:
        return Task.MULTICLASS

    def _loss(self, outputs: Vector, targets: Targets) -> float:
        return cross_entropy(outputs, targets)

    def _prediction(self, outputs: Vector) -> Vector:
        return softmax(outputs)
