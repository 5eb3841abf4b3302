"""Wide-and-deep networks for categorical data (Cheng et al. 2016, sec. 3)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.datasets.examples.sparse import Csr, csr, relabelled
from distbelief.app.errors import ModelError
from distbelief.app.layout.rows import Ids
from distbelief.app.layout.tensors import TensorSpec, Vector, views
from distbelief.app.models.heads import CLASSES, LOG_ODDS, VALUE, Head
from distbelief.app.models.layers import (
    Layer,
    backward,
    check_layers,
    first_layers,
    forward,
    layer_tensors,
)
from distbelief.app.models.losses import silently
from distbelief.app.models.model import Features, Narrowed, Targets, Task, Weights
from distbelief.app.models.scaling import Scaling


@dataclass(frozen=True)
class WideDeep:
    """The sum of a linear model over all columns and of a network over embeddings.

    The network sees the numbers of an example, then the embedding of its category in each
    field, in the order of the fields. Tensors: ``fields`` (n_categories, n_outputs +
    embedding), for each category its linear weights and then its embedding, drawn between
    ``-spread`` and ``spread``, and sparse; ``wide.weights`` (n_dense, n_outputs) of the
    numbers, if there are any, at zero; and the layers of an MLP, whose last bias is that of
    both parts. Outputs: the value, the log-odds of class 1, or one for each class.

    ``bounds`` (n_fields + 1 numbers) say which rows of ``fields`` each field owns: those
    of field f begin at ``bounds[f]``.

    Raises:
        ModelError: no fields, a hidden layer without units, an unknown activation or init.
    """

    n_dense: int
    bounds: tuple[int, ...]
    n_classes: int = 0
    hidden: tuple[int, ...] = (64,)
    activation: str = "relu"
    init: str = "glorot"
    embedding: int = 8
    spread: float = 0.05
    sparse: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        if len(self.bounds) < 2:
            raise ModelError(
                'model "wide_deep" needs categorical columns, which CSV and Parquet files can '
                'have, and the data have none: use "mlp" or "fm"'
            )
        check_layers(self.hidden, self.activation, self.init)

    @classmethod
    def of(cls, schema: Schema, **settings: Any) -> WideDeep:
        """The model for data of this schema."""
        bounds = tuple(schema.buckets * index for index in range(schema.n_fields + 1))
        return cls(schema.n_dense, bounds, schema.n_classes, sparse=schema.sparse, **settings)

    @property
    def n_fields(self) -> int:
        return len(self.bounds) - 1

    @property
    def head(self) -> Head:
        if self.n_classes == 0:
            return VALUE
        return LOG_ODDS if self.n_classes == 2 else CLASSES

    @property
    def n_outputs(self) -> int:
        return self.n_classes if self.head is CLASSES else 1

    @property
    def task(self) -> Task:
        return self.head.task

    @cached_property
    def tensors(self) -> tuple[TensorSpec, ...]:
        shape = (self.bounds[-1], self.n_outputs + self.embedding)
        fields = TensorSpec("fields", shape, sparse=self.sparse, spread=self.spread)
        wide = TensorSpec("wide.weights", (self.n_dense, self.n_outputs))
        n_inputs = self.n_dense + self.n_fields * self.embedding
        layers = layer_tensors((n_inputs, *self.hidden, self.n_outputs))
        return (fields, wide, *layers) if self.n_dense else (fields, *layers)

    def initial(self, rng: np.random.Generator) -> Vector:
        wide = np.zeros(self.n_dense * self.n_outputs)
        layers = [t for t in self.tensors if t.name.startswith("layer")]
        return np.concatenate([wide, first_layers(rng, layers, self.init)])

    def narrowed(self, features: Features) -> Narrowed:
        rows, counts, features = relabelled(features, self.n_dense)
        return Narrowed(self._with_rows(rows), features, (rows,), (counts,))

    def cut(self, rows: Ids, scaling: Scaling) -> tuple[Self, Scaling]:
        return self._with_rows(rows), scaling

    def _with_rows(self, rows: Ids) -> Self:
        return replace(self, bounds=tuple(np.searchsorted(rows, self.bounds).tolist()))

    @silently
    def loss_and_gradient(
        self,
        parameters: Vector,
        features: Features,
        targets: Targets,
        gradient: Vector,
        weights: Weights = None,
    ) -> float:
        numbers, categories = self._parts(features, parameters.dtype)
        of, to = _Parts(self, parameters), _Parts(self, gradient)
        *inputs, delta = self._forward(of, numbers, categories)
        loss = self.head.loss(delta, targets, weights)
        deep = backward(of.layers, to.layers, inputs, delta, self.activation)
        deep = (deep @ of.layers[0][0].T)[:, self.n_dense :]
        np.matmul(numbers.T, delta, out=to.wide)
        rows = np.empty((len(delta), self.n_fields, to.fields.shape[1]), delta.dtype)
        rows[:, :, : self.n_outputs] = delta[:, np.newaxis]
        rows[:, :, self.n_outputs :] = deep.reshape(len(delta), self.n_fields, -1)
        to.fields[...] = categories.T @ rows.reshape(-1, to.fields.shape[1])
        return loss

    @silently
    def predict(self, parameters: Vector, features: Features) -> Vector:
        numbers, categories = self._parts(features, parameters.dtype)
        outputs = self._forward(_Parts(self, parameters), numbers, categories)[-1]
        return self.head.prediction(outputs)

    def folded(self, parameters: Vector, scaling: Scaling) -> Vector:
        folded = parameters.astype(np.float64)
        of = _Parts(self, folded)
        (weights, bias), (last, bias_of_both) = of.layers[0], of.layers[-1]
        scaling.fold_columns(weights, bias)
        scaling.fold_columns(of.wide, bias_of_both)
        if self.task is Task.REGRESSION:
            scaling.fold_targets(of.fields[:, : self.n_outputs], of.wide, last, bias=bias_of_both)
        return folded

    def _forward(self, of: _Parts, numbers: Vector, categories: Csr) -> list[Vector]:
        """Compute the inputs of every layer, then the outputs of both parts together."""
        rows = (categories @ of.fields).reshape(len(numbers), self.n_fields, -1)
        embeddings = rows[:, :, self.n_outputs :].reshape(len(numbers), -1)
        values = forward(of.layers, np.concatenate([numbers, embeddings], axis=1), self.activation)
        values[-1] += numbers @ of.wide
        values[-1] += rows[:, :, : self.n_outputs].sum(axis=1)
        return values

    def _parts(self, features: Features, dtype: np.dtype[np.floating]) -> tuple[Vector, Csr]:
        """Split an example into numbers (n, n_dense) and one row for each field.

        The latter, (n * n_fields, n_categories), picks rows of ``fields``; row
        ``i * n_fields + f`` is field f of example i.
        """
        rows = csr(features).astype(dtype, copy=False)
        n = rows.shape[0]
        numbers = rows[:, : self.n_dense].toarray()
        hashed = rows.indices >= self.n_dense
        columns = rows.indices[hashed] - self.n_dense
        examples = np.repeat(np.arange(n), np.diff(rows.indptr))[hashed]
        owners = np.searchsorted(self.bounds, columns, side="right") - 1
        positions = (examples * self.n_fields + owners, columns)
        shape = (n * self.n_fields, self.bounds[-1])
        return numbers, csr((rows.data[hashed], positions), shape)


class _Parts:
    """Views into a flat vector of the model's tensors."""

    def __init__(self, model: WideDeep, vector: Vector) -> None:
        tensors = views(vector, model.tensors)
        self.fields = tensors.pop(0)
        no_numbers = np.empty((0, model.n_outputs), vector.dtype)
        self.wide = tensors.pop(0) if model.n_dense else no_numbers
        self.layers: list[Layer] = list(zip(tensors[::2], tensors[1::2], strict=True))
