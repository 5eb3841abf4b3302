"""Problems whose solutions have zeros, and what other people's programs make of them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from distbelief.app.datasets.sources import synthetic
from tests.unit.coordinator.sandblaster.problems import Array, Function


@dataclass(frozen=True)
class Sparse:
    """A mean log loss plus ``l1 |w|_1`` and ``l2/2 |w|^2`` of the weights w.

    ``smooth`` is the objective without the L1 term, of a vector of the weights, row by row
    of shape (n_features, n_outputs), and then ``n_biases`` biases.
    """

    smooth: Function
    x: Array
    y: Any
    n_outputs: int
    n_biases: int
    l1: float
    l2: float = 0.0

    @property
    def n_weights(self) -> int:
        return int(self.x.shape[1]) * self.n_outputs

    @property
    def start(self) -> Array:
        return np.zeros(self.n_weights + self.n_biases)

    def objective(self, w: Array) -> float:
        return self.smooth(w)[0] + self.l1 * float(np.abs(w[: self.n_weights]).sum())

    def of_scikit_learn(self, solver: str) -> Array:
        """The optimum of LogisticRegression, as tight as it can be had."""
        strength = self.l1 + self.l2
        fitted = LogisticRegression(
            C=1 / (len(self.y) * strength),
            penalty="elasticnet" if self.l2 else "l1",
            l1_ratio=self.l1 / strength if self.l2 else None,
            solver=solver,
            fit_intercept=bool(self.n_biases),
            tol=1e-10,
            max_iter=100_000,
            random_state=0,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # names of settings change between versions
            fitted.fit(self.x, self.y)
        biases = np.atleast_1d(fitted.intercept_)[: self.n_biases]
        return np.concatenate([fitted.coef_.T.ravel(), biases])

    def of_scipy(self) -> Array:
        """That of L-BFGS-B on w = u - v with u, v >= 0, where the L1 term is linear."""
        n = self.n_weights

        def split(z: Array) -> tuple[float, Array]:
            loss, gradient = self.smooth(np.concatenate([z[:n] - z[n : 2 * n], z[2 * n :]]))
            by_w, by_bias = gradient[:n], gradient[n:]
            whole = loss + self.l1 * float(z[: 2 * n].sum())
            return whole, np.concatenate([self.l1 + by_w, self.l1 - by_w, by_bias])

        bounds = [(0, None)] * (2 * n) + [(None, None)] * self.n_biases
        options = {"ftol": 0, "gtol": 1e-10, "maxiter": 50_000, "maxfun": 100_000, "maxcor": 30}
        found = minimize(
            split,
            np.zeros(len(bounds)),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options=options,
        ).x
        return np.concatenate([found[:n] - found[n : 2 * n], found[2 * n :]])


def logistic(
    examples: int, features: int, *, l1: float, l2: float = 0.0, bias: bool = True, seed: int = 0
) -> Sparse:
    drawn = synthetic.logistic(examples, features, seed)
    return logistic_of(drawn.features.astype(np.float64), drawn.targets, l1=l1, l2=l2, bias=bias)


def logistic_of(x: Array, y: Any, *, l1: float, l2: float = 0.0, bias: bool = True) -> Sparse:
    """Logistic regression on examples ``x`` with labels 0 and 1."""
    (examples, features), signs = x.shape, 2.0 * y - 1

    def smooth(w: Array) -> tuple[float, Array]:
        weights, constant = w[:features], float(w[features:].sum())
        margins = signs * (x @ weights + constant)
        by_output = -signs / (1 + np.exp(margins)) / examples
        loss = float(np.logaddexp(0, -margins).mean()) + l2 / 2 * float(weights @ weights)
        by_bias = [by_output.sum()] if bias else []
        return loss, np.concatenate([by_output @ x + l2 * weights, by_bias])

    return Sparse(smooth, x, y, 1, int(bias), l1, l2)


def softmax(
    examples: int, features: int, classes: int, *, l1: float, l2: float = 0.0, seed: int = 0
) -> Sparse:
    drawn = synthetic.softmax(examples, features, classes, seed)
    x, rows = drawn.features.astype(np.float64), np.arange(examples)

    def smooth(w: Array) -> tuple[float, Array]:
        weights = w[: features * classes].reshape(features, classes)
        outputs = x @ weights + w[features * classes :]
        outputs -= outputs.max(axis=1, keepdims=True)
        chances = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
        loss = -float(np.log(chances[rows, drawn.targets]).mean())
        chances[rows, drawn.targets] -= 1
        by_weights = x.T @ chances / examples + l2 * weights
        gradient = np.concatenate([by_weights.ravel(), chances.mean(axis=0)])
        return loss + l2 / 2 * float(np.sum(weights**2)), gradient

    return Sparse(smooth, x, drawn.targets, classes, classes, l1, l2)
