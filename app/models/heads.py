"""Heads: the meaning of a last layer's outputs, which is its task, the loss and the predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from distbelief.app.layout.tensors import Vector
from distbelief.app.models.losses import (
    cross_entropy,
    half_squared_error,
    log_loss,
    sigmoid,
    softmax,
)
from distbelief.app.models.model import Targets, Task, Weights


class HeadLoss(Protocol):
    def __call__(self, outputs: Vector, targets: Targets, weights: Weights = None, /) -> float: ...


@dataclass(frozen=True)
class Head:
    """Functions of outputs (n, n_outputs), which both may overwrite.

    ``loss`` returns the mean and leaves its gradient in the outputs; ``prediction`` gives
    what :meth:`distbelief.app.models.model.Model.predict` promises for the task.
    """

    task: Task
    loss: HeadLoss
    prediction: Callable[[Vector], Vector]


#: One output, the value; the loss is half the mean squared error.
VALUE = Head(Task.REGRESSION, half_squared_error, lambda outputs: outputs[:, 0])

#: One output, the log-odds of class 1.
LOG_ODDS = Head(Task.BINARY, log_loss, lambda outputs: sigmoid(outputs[:, 0]))

#: An output for each class, whose softmax are the probabilities.
CLASSES = Head(Task.MULTICLASS, cross_entropy, softmax)
