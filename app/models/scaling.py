"""Standardisation: models trained on columns of mean 0 and deviation 1 that answer for raw ones.

A :class:`Scaling` says how. While a model is trained its parameters belong to the scaled columns,
and :class:`Scaled` stands between it and the data. Afterwards they are folded: every built-in model
can say which parameters give the same answers for the columns as they are (:class:`Foldable`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol, Self, cast, runtime_checkable

import numpy as np

from distbelief.app.datasets.examples.sparse import csr
from distbelief.app.datasets.examples.statistics import Statistics
from distbelief.app.layout.rows import Ids
from distbelief.app.layout.tensors import TensorSpec, Vector
from distbelief.app.models.losses import silently
from distbelief.app.models.model import (
    Features,
    LossModel,
    Model,
    Narrowed,
    SparseModel,
    Targets,
    Task,
    Weights,
    weighed,
)

#: To fold a parameter costs as much as to scale so many features.
WORTH_FOLDING = 3


@dataclass(frozen=True)
class Scaling:
    """``(x - mean) * factor`` for each of the first columns, and the same for the targets.

    Attributes:
        means: of the leading columns that hold numbers; all other features stay as they are.
        factors: one over the spread of each.
        target_mean: of the targets of a regression.
        target_factor: one over their spread.
    """

    means: tuple[float, ...] = ()
    factors: tuple[float, ...] = ()
    target_mean: float = 0.0
    target_factor: float = 1.0

    @classmethod
    def of(
        cls, columns: Statistics | None, targets: Statistics | None, *, one_unit: bool = False
    ) -> Scaling:
        """The scaling to mean 0 and deviation 1; what is constant is centred only.

        Columns in ``one_unit`` keep it: they have one factor, which makes their mean variance 1.
        Means and factors are numbers of float32: then a column that is known in float32 is
        centred with one rounding, and folding takes back the very same operation.
        """
        means, factors = _rounded(columns, one_unit=one_unit)
        (target_mean,), (target_factor,) = _rounded(targets) if targets else ((0.0,), (1.0,))
        return cls(means, factors, target_mean, target_factor)

    @property
    def n_columns(self) -> int:
        return len(self.means)

    @property
    def inverse(self) -> Scaling:
        """The scaling that takes scaled columns, and scaled targets, back to what they were."""
        pairs = list(zip(self.means, self.factors, strict=True))
        return Scaling(
            tuple(-mean * factor for mean, factor in pairs),
            tuple(1 / factor for _, factor in pairs),
            -self.target_mean * self.target_factor,
            1 / self.target_factor,
        )

    @property
    def loss_unit(self) -> float:
        """A squared error of the scaled targets, in the unit of the original ones."""
        return 1 / self.target_factor**2

    def at(self, columns: Ids) -> Scaling:
        """That of some columns, which are ascending."""
        kept = columns[columns < self.n_columns].tolist()
        means = tuple(self.means[index] for index in kept)
        return replace(self, means=means, factors=tuple(self.factors[index] for index in kept))

    @cached_property
    def of_columns(self) -> Scaling:
        """That of the columns alone."""
        return Scaling(self.means, self.factors)

    @property
    def of_targets(self) -> Scaling:
        """That of the targets alone."""
        return replace(self, means=(), factors=())

    def features(self, features: Features, dtype: np.dtype[np.floating]) -> Features:
        """The scaled features, in ``dtype``."""
        if not self.n_columns:
            return features.astype(dtype, copy=False)
        means, factors = self._arrays[dtype]
        if isinstance(features, np.ndarray):
            scaled: Vector = np.subtract(features, means, dtype=dtype)
            scaled *= factors
            return scaled
        numbers = features.indices < self.n_columns
        columns, data = features.indices[numbers], features.data.astype(dtype)
        data[numbers] = (data[numbers] - means[columns]) * factors[columns]
        return csr((data, features.indices, features.indptr), features.shape)

    def targets(self, targets: Targets) -> Targets:
        """The scaled targets of a regression."""
        return (targets.astype(np.float64) - self.target_mean) * self.target_factor

    def values(self, scaled: Vector) -> Vector:
        """Values that are predicted for scaled targets, in the unit of the original ones."""
        return scaled.astype(np.float64) / self.target_factor + self.target_mean

    def fold_columns(self, weights: Vector, bias: Vector) -> None:
        """Change a layer over the columns, and what else there is, to one over the raw ones.

        ``weights`` (n_in, n_out) begin with those of the columns.
        """
        own = weights[: self.n_columns]
        means, factors = self._arrays[np.dtype(np.float64)]
        own *= factors[:, None]
        bias -= means @ own

    def fold_targets(self, *weights: Vector, bias: Vector) -> None:
        """Change the last layer, which may have several ``weights``, to one with raw values."""
        for part in (*weights, bias):
            np.divide(part, self.target_factor, out=part)
        bias += self.target_mean

    def pull_back(self, weights: Vector, bias: Vector) -> None:
        """Change the gradient by a layer of :meth:`fold_columns` to that by what was folded."""
        own = weights[: self.n_columns]
        means, factors = self._arrays[np.dtype(np.float64)]
        own -= np.outer(means, bias)
        own *= factors[:, None]

    def to_json(self) -> dict[str, Any]:
        return {
            "means": list(self.means),
            "factors": list(self.factors),
            "target_mean": self.target_mean,
            "target_factor": self.target_factor,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Scaling:
        parts = {name: tuple(document[name]) for name in ("means", "factors")}
        return cls(**{**document, **parts})

    @cached_property
    def _arrays(self) -> dict[np.dtype[Any], tuple[Vector, Vector]]:
        pair = np.array(self.means), np.array(self.factors)
        kinds = (np.dtype(np.float32), np.dtype(np.float64))
        return {kind: (pair[0].astype(kind), pair[1].astype(kind)) for kind in kinds}


def _rounded(
    found: Statistics | None, *, one_unit: bool = False
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if found is None:
        return (), ()
    spread = found.spread
    if one_unit:
        spread[spread > 0] = np.sqrt(np.mean(np.square(spread[spread > 0])))
    with np.errstate(divide="ignore", over="ignore"):
        factors = (1 / spread).astype(np.float32)
    factors[~np.isfinite(factors) | (factors == 0)] = 1.0
    return tuple(found.mean.astype(np.float32).tolist()), tuple(factors.tolist())


@runtime_checkable
class Foldable(SparseModel, Protocol):
    """A model whose parameters for scaled columns have equals for the raw ones."""

    def folded(self, parameters: Vector, scaling: Scaling) -> Vector:
        """The parameters that answer for raw columns as ``parameters`` do for scaled ones.

        With :attr:`Scaling.inverse` it is the other way round.
        """
        ...

    def cut(self, rows: Ids, scaling: Scaling) -> tuple[Self, Scaling]:
        """The model with only these rows in its sparse tensor, and the scaling of its columns."""
        ...


@runtime_checkable
class LinearlyFoldable(Foldable, Protocol):
    """One whose folded parameters are a linear function of its parameters, and a constant."""

    def pull_back(self, gradient: Vector, scaling: Scaling) -> None:
        """Change the gradient by folded parameters to that by the parameters."""
        ...


@dataclass(frozen=True)
class Scaled:
    """A model that is trained on scaled columns and targets; whoever asks it gives raw ones.

    Its loss in training is that of the scaled targets, and what it predicts is in the unit of
    the raw ones; so is the loss of what it predicts.
    """

    model: Model
    scaling: Scaling

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        return self.model.tensors

    @property
    def task(self) -> Task:
        return self.model.task

    def initial(self, rng: np.random.Generator) -> Vector:
        return self.model.initial(rng)

    def narrowed(self, features: Features) -> Narrowed:
        scaled = self.scaling.features(features, np.dtype(np.float32))
        narrowed = cast("SparseModel", self.model).narrowed(scaled)
        return replace(narrowed, model=Scaled(narrowed.model, self.scaling.of_targets))

    def loss_and_gradient(
        self,
        parameters: Vector,
        features: Features,
        targets: Targets,
        gradient: Vector,
        weights: Weights = None,
    ) -> float:
        wanted, keyword = self._targets(targets), weighed(weights)
        if self._folds(parameters, features):
            # More examples than numbers: it costs less to fold these. In float32 they would cancel.
            columns, model = self.scaling.of_columns, cast("LinearlyFoldable", self.model)
            folded = model.folded(parameters, columns)
            loss = model.loss_and_gradient(folded, features, wanted, gradient, **keyword)
            model.pull_back(gradient, columns)
            return loss
        scaled = self.scaling.features(features, parameters.dtype)
        return self.model.loss_and_gradient(parameters, scaled, wanted, gradient, **keyword)

    def loss(
        self, parameters: Vector, features: Features, targets: Targets, weights: Weights = None
    ) -> float:
        scaled, wanted = self.scaling.features(features, parameters.dtype), self._targets(targets)
        unit = self.scaling.loss_unit
        keyword = weighed(weights)
        if isinstance(self.model, LossModel):
            return unit * self.model.loss(parameters, scaled, wanted, **keyword)
        scratch = np.empty_like(parameters)
        return unit * self.model.loss_and_gradient(parameters, scaled, wanted, scratch, **keyword)

    @silently
    def predict(self, parameters: Vector, features: Features) -> Vector:
        found = self.model.predict(parameters, self.scaling.features(features, parameters.dtype))
        return self.scaling.values(found) if self.task is Task.REGRESSION else found

    def _folds(self, parameters: Vector, features: Features) -> bool:
        return (
            isinstance(features, np.ndarray)
            and parameters.dtype == np.float64
            and features.size > WORTH_FOLDING * parameters.size
            and self._is_linear
        )

    @cached_property
    def _is_linear(self) -> bool:
        return isinstance(self.model, LinearlyFoldable)

    def _targets(self, targets: Targets) -> Targets:
        return self.scaling.targets(targets) if self.task is Task.REGRESSION else targets


def loss_unit(model: Model) -> float:
    """A loss as the model's training computes it, in the unit of the targets as they are."""
    return model.scaling.loss_unit if isinstance(model, Scaled) else 1.0


def scaled(model: Model, scaling: Scaling | None) -> Model:
    """The model as it is trained under ``scaling``, None if it is trained on the raw columns."""
    return model if scaling is None else Scaled(model, scaling)
