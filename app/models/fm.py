"""Factorization machines: linear models with a weight for each pair of features.

Rendle 2010, "Factorization Machines", eq. 1: the weight of a pair is the product of one
vector of ``rank`` numbers for each of the two, so pairs that never met share what their
features learnt elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from distbelief.app.layout.tensors import TensorSpec, Vector, views
from distbelief.app.models.by_column import ByColumn
from distbelief.app.models.heads import LOG_ODDS, VALUE, Head
from distbelief.app.models.losses import silently
from distbelief.app.models.model import Features, Targets, Task, Weights
from distbelief.app.models.scaling import Scaling


@dataclass(frozen=True)
class FactorizationMachine(ByColumn):
    """``b + sum_i w_i x_i + sum_(i<j) (v_i . v_j) x_i x_j``, by Rendle's eq. 5 in linear time.

    The output is the log-odds of class 1, or the value if there are no classes. Tensors:
    ``features`` (n_features, 1 + rank), for each feature w_i and then v_i, drawn between
    ``-spread`` and ``spread`` (with all v_i zero nothing would be learnt); ``bias`` (1,),
    zero and free of the L2 term. On sparse data ``features`` is sparse: w_i and v_i of a
    feature are touched together.
    """

    n_classes: int = 0
    rank: int = 8
    spread: float = 0.05
    sparse: bool = field(default=False, kw_only=True)

    @property
    def head(self) -> Head:
        return LOG_ODDS if self.n_classes else VALUE

    @property
    def task(self) -> Task:
        return self.head.task

    @cached_property
    def tensors(self) -> tuple[TensorSpec, ...]:
        shape = (self.n_features, 1 + self.rank)
        return (
            TensorSpec("features", shape, sparse=self.sparse, spread=self.spread),
            TensorSpec("bias", (1,), penalised=False),
        )

    def initial(self, rng: np.random.Generator) -> Vector:
        return np.zeros(1)

    @silently
    def loss_and_gradient(
        self,
        parameters: Vector,
        features: Features,
        targets: Targets,
        gradient: Vector,
        weights: Weights = None,
    ) -> float:
        features = _entries(features, parameters.dtype)
        outputs, sums = self._forward(parameters, features)
        loss = self.head.loss(outputs, targets, weights)
        table, bias = views(gradient, self.tensors)
        factors = views(parameters, self.tensors)[0][:, 1:]
        # d/dv_i = x_i (sum_j v_j x_j - v_i x_i), Rendle's eq. 4, times that of the loss.
        table[:, :1] = features.T @ outputs
        table[:, 1:] = features.T @ (outputs * sums)
        table[:, 1:] -= factors * (_squared(features).T @ outputs)
        np.sum(outputs, axis=0, out=bias)
        return loss

    @silently
    def predict(self, parameters: Vector, features: Features) -> Vector:
        features = _entries(features, parameters.dtype)
        return self.head.prediction(self._forward(parameters, features)[0])

    def folded(self, parameters: Vector, scaling: Scaling) -> Vector:
        folded = parameters.astype(np.float64)
        table, bias = views(folded, self.tensors)
        n, means = scaling.n_columns, np.array(scaling.means)[:, None]
        table[:n] *= np.array(scaling.factors)[:, None]
        linear, factors = table[:, :1], table[:, 1:]
        # With x_i - m_i for x_i every pair leaves terms in x_i, in x_j and in neither.
        bias -= (means * linear[:n]).sum(axis=0)
        together = (means * factors[:n]).sum(axis=0)
        squares = np.square(factors[:n]).sum(axis=1, keepdims=True)
        bias += 0.5 * (together @ together - np.sum(means**2 * squares))
        linear -= factors @ together[:, None]
        linear[:n] += means * squares
        if self.task is Task.REGRESSION:
            scaling.fold_targets(linear, bias=bias)
            factors /= np.sqrt(scaling.target_factor)
        return folded

    def _forward(self, parameters: Vector, features: Features) -> tuple[Vector, Vector]:
        """Outputs (n, 1), and for each factor the sum of ``v_i x_i``: (n, rank)."""
        table, bias = views(parameters, self.tensors)
        products = features @ table
        outputs, sums = products[:, :1], products[:, 1:]
        of_themselves = _squared(features) @ np.square(table[:, 1:]).sum(axis=1, keepdims=True)
        pairs = np.square(sums).sum(axis=1, keepdims=True) - of_themselves
        return outputs + 0.5 * pairs + bias, sums


def _entries(features: Any, dtype: np.dtype[np.floating]) -> Any:
    """The features in ``dtype``, with one entry for each number, or else squares go wrong."""
    features = features.astype(dtype, copy=False)
    if not isinstance(features, np.ndarray) and not features.has_canonical_format:
        features = features.copy()
        features.sum_duplicates()
    return features


def _squared(features: Any) -> Any:
    return np.square(features) if isinstance(features, np.ndarray) else features.power(2)
