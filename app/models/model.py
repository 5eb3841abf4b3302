"""The interface of a model: a flat vector of parameters and four answers.

The parameters of every model travel as one vector of shape (D,); ``tensors`` says how to
cut it, and :func:`distbelief.app.layout.layout.views` cuts it without copying. A model holds no
parameters and no state, so one object serves many threads.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from distbelief.app.datasets.targets.wanted import CLASSIFICATION, REGRESSION
from distbelief.app.layout.tensors import TensorSpec, Vector

#: Or a ``scipy.sparse.csr_array``, which has no types.
Features = npt.NDArray[Any]
Targets = npt.NDArray[Any]

#: float32, shape (n,), or none: all examples count the same.
Weights = npt.NDArray[np.float32] | None


class Task(StrEnum):
    """The kind of a model's targets, and with it how predictions are judged."""

    REGRESSION = "regression"
    BINARY = "binary"
    MULTICLASS = "multiclass"

    @property
    def targets(self) -> str:
        """What targets are to such a model, as the option ``task`` of data says it."""
        return REGRESSION if self is Task.REGRESSION else CLASSIFICATION


class Model(Protocol):
    """Anything that has these attributes can be trained; nothing needs to be inherited.

    Shapes: parameters and gradient (D,), D being the size of all ``tensors``; features
    (n, n_features); targets (n,), integer labels 0, 1, ... for classification and
    real numbers for regression; n is at least 1.

    Results are computed in the dtype of ``parameters`` (float32 or float64). Parameters
    that are too large give infinities or NaN, not an exception: the caller judges them.
    """

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """Names and shapes, in the order in which they lie in the flat vector."""
        ...

    @property
    def task(self) -> Task: ...

    def initial(self, rng: np.random.Generator) -> Vector:
        """Parameters to begin with: float64, a pure function of ``rng``.

        One after another for all tensors without a ``spread``: shape (D,) if none has one.
        """
        ...

    def loss_and_gradient(
        self, parameters: Vector, features: Features, targets: Targets, gradient: Vector
    ) -> float:
        """Mean loss over the n examples; its gradient overwrites ``gradient``.

        The L2 term of the objective is no business of the model.
        """
        ...

    def predict(self, parameters: Vector, features: Features) -> Vector:
        """Values (n,), probabilities of class 1 (n,), or probabilities (n, n_classes).

        Which of them follows from ``task``: regression, binary, multiclass.
        """
        ...


class WeightedModel(Model, Protocol):
    """A model whose examples may have weights: a keyword that is given only if there are any."""

    def loss_and_gradient(
        self,
        parameters: Vector,
        features: Features,
        targets: Targets,
        gradient: Vector,
        weights: Weights = None,
    ) -> float:
        """The mean, over the n examples, of weight times loss; likewise the gradient."""
        ...


def takes_weights(model: Model) -> bool:
    """Whether a model is a :class:`WeightedModel`."""
    says: bool | None = getattr(model, "takes_weights", None)
    if says is not None:
        return says
    taken = inspect.signature(model.loss_and_gradient).parameters
    return "weights" in taken or any(each.kind is each.VAR_KEYWORD for each in taken.values())


def weighed(weights: Weights) -> dict[str, Any]:
    """The keyword for a model's losses, if there are weights."""
    return {} if weights is None else {"weights": weights}


@dataclass(frozen=True)
class Narrowed:
    """A model with sparse tensors, cut down to what a minibatch needs.

    Attributes:
        model: the same model with only the touched rows in its sparse tensors.
        features: the minibatch, speaking of those rows by their position.
        rows: for each sparse tensor, in the order of ``tensors``, the rows that the
            minibatch touches: int64, ascending.
        counts: for each of those rows, how many of the examples touch it.
    """

    model: Model
    features: Features
    rows: tuple[npt.NDArray[np.int64], ...]
    counts: tuple[npt.NDArray[np.int64], ...]


class SparseModel(Model, Protocol):
    """A model with sparse tensors: it can be cut down to what a minibatch touches.

    Loss, gradient and predictions of the narrowed model are those of the whole one: the
    gradient of every row that is left out is zero.
    """

    def narrowed(self, features: Features) -> Narrowed: ...


@runtime_checkable
class LossModel(Model, Protocol):
    """A model whose loss in training is not that of its predictions, as with dropout.

    Or one whose loss costs far less without a gradient.
    """

    def loss(self, parameters: Vector, features: Features, targets: Targets) -> float:
        """Mean loss of what it predicts for the n examples."""
        ...
