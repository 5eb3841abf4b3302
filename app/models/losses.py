"""Losses of a last layer, and the functions that turn its outputs into predictions.

All work in place on the outputs of shape (n_examples, n_outputs), which are as large as
anything a model computes for a minibatch. Each loss returns the mean over the examples,
summed in float64, and leaves in ``outputs`` the gradient of that mean: what
backpropagation starts from. ``weights`` (n_examples,) multiply the loss of each example; the mean
is over their number all the same, so that parts of data whose weights have mean 1 add up.
"""

from __future__ import annotations

import numpy as np

from distbelief.app.layout.tensors import Vector
from distbelief.app.models.model import Targets, Weights

#: Decorator: a diverged run shows itself by infinities and NaN, which are counted and
#: reported by those who receive them; a warning for each minibatch would bury that.
silently = np.errstate(over="ignore", invalid="ignore")


def half_squared_error(outputs: Vector, targets: Targets, weights: Weights = None) -> float:
    """Compute half the mean squared error of outputs of shape (n, 1)."""
    residuals = outputs[:, 0]
    residuals -= targets
    losses = np.square(residuals)
    _weigh(losses, outputs, weights)
    residuals /= len(targets)
    return 0.5 * float(np.mean(losses, dtype=np.float64))


def log_loss(outputs: Vector, labels: Targets, weights: Weights = None) -> float:
    """Compute the mean log loss of labels 0 and 1 given log-odds of shape (n, 1)."""
    log_odds = outputs[:, 0]
    positive = labels == 1
    # log(1 + exp(-margin)) keeps the tiny losses that log(p) and z - y * z would cancel.
    losses = np.logaddexp(0, np.where(positive, -log_odds, log_odds))
    sigmoid(log_odds)
    log_odds -= positive
    _weigh(losses, outputs, weights)
    log_odds /= len(labels)
    return float(np.mean(losses, dtype=np.float64))


def cross_entropy(outputs: Vector, labels: Targets, weights: Weights = None) -> float:
    """Compute the mean log loss of labels 0 to k - 1 given softmax of outputs (n, k)."""
    rows = np.arange(len(labels))
    _shift(outputs)
    of_label = outputs[rows, labels]
    totals = _exponentiate(outputs)
    losses = np.log(totals[:, 0]) - of_label
    outputs /= totals
    outputs[rows, labels] -= 1
    _weigh(losses, outputs, weights)
    outputs /= len(labels)
    return float(np.mean(losses, dtype=np.float64))


def softmax(outputs: Vector) -> Vector:
    """Turn outputs (n, k) into probabilities, in place."""
    _shift(outputs)
    outputs /= _exponentiate(outputs)
    return outputs


@silently
def sigmoid(outputs: Vector) -> Vector:
    """Compute ``1 / (1 + exp(-outputs))`` in place; any shape.

    Where the exponential overflows, the reciprocal of infinity is the right answer, 0.
    """
    np.negative(outputs, out=outputs)
    np.exp(outputs, out=outputs)
    outputs += 1
    return np.reciprocal(outputs, out=outputs)


def _weigh(losses: Vector, gradient: Vector, weights: Weights) -> None:
    """Multiply the loss of each example, and its gradient (n, n_outputs), by its weight."""
    if weights is not None:
        losses *= weights
        gradient *= weights[:, np.newaxis]


def _shift(outputs: Vector) -> None:
    """Make the largest output of each example 0: softmax stays, overflow goes."""
    outputs -= outputs.max(axis=1, keepdims=True)


def _exponentiate(outputs: Vector) -> Vector:
    """Exponentiate in place and return the sums over the classes, shape (n, 1)."""
    np.exp(outputs, out=outputs)
    totals: Vector = outputs.sum(axis=1, keepdims=True)
    return totals
