"""A model and a few examples to try it on, and asking it as one asks somebody's own code."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.split.partition import RowList
from distbelief.app.errors import ModelError
from distbelief.app.layout.tensors import TensorSpec, Vector
from distbelief.app.models.imports import named
from distbelief.app.models.model import Features, Model, SparseModel, Targets
from distbelief.app.models.parameters import joined, parted
from distbelief.coordinator.problem.initial_values import InitialValues

#: How far from zero the rows of tables are that examples touch.
SPREAD = 0.05

#: Examples on which a model is tried.
EXAMPLES = 8


@dataclass(frozen=True)
class Trial:
    """A model, by its ``name`` in messages, first values and a few examples to try it on.

    ``n_fixed`` numbers at the end of the parameters are statistics, which are not trained.
    """

    name: str
    model: Model
    parameters: Vector
    features: Features
    targets: Targets
    n_classes: int
    n_fixed: int = 0


def trial_of(
    name: str, model: Model, first: InitialValues, dataset: Dataset, train: RowList
) -> Trial:
    """The trial of a model on the first training examples, cut down to the rows these touch."""
    rows = np.sort(train[: min(EXAMPLES, len(train))])
    features, targets = dataset.features[rows], dataset.targets[rows]
    vector: Vector = first.parameters
    if any(tensor.sparse for tensor in model.tensors) and hasattr(model, "narrowed"):
        dense = vector if first.tables else parted(model.tensors, vector)[0]
        narrowed = cast("SparseModel", model).narrowed(features)
        sparse = [tensor for tensor in narrowed.model.tensors if tensor.sparse]
        rng = np.random.default_rng(0)
        tables = [rng.normal(0, SPREAD, tensor.size) for tensor in sparse]
        vector = joined(narrowed.model.tensors, dense, tables)
        model, features = narrowed.model, narrowed.features
    n_fixed = getattr(model, "n_statistics", 0)
    return Trial(name, model, vector, features, targets, dataset.schema.n_classes, n_fixed)


def loss_of(trial: Trial, parameters: Vector, gradient: Vector) -> float:
    """The loss, with its gradient in ``gradient``; ModelError for what is no number."""
    model, examples = trial.model, (trial.features, trial.targets)
    what = "loss_and_gradient"
    return as_number(
        trial, what, asked(trial, what, model.loss_and_gradient, parameters, *examples, gradient)
    )


def asked(trial: Trial, what: str, ask: Callable[..., Any], *arguments: Any) -> Any:
    """What the user's own code answers; ModelError for whatever it raises."""
    try:
        return ask(*arguments)
    except ModelError:
        raise
    except Exception as error:  # whatever a user's own code raises
        raise ModelError(f"{what} of {trial.name} failed: {named(error)}") from error


def as_number(trial: Trial, what: str, loss: Any) -> float:
    """A loss that ``what`` returned; ModelError if it is no number."""
    if isinstance(loss, np.ndarray) and loss.ndim == 0:
        loss = loss[()]
    if isinstance(loss, bool) or not isinstance(loss, numbers.Real):
        hint = ": is 'return loss' missing?" if loss is None else ""
        raise ModelError(
            f"{what} of {trial.name} must return the mean loss as a number, got {short(loss)}{hint}"
        )
    return float(loss)


def parts(tensors: Sequence[TensorSpec]) -> Iterator[tuple[str, slice]]:
    """The names of tensors, and where these lie in the flat vector."""
    start = 0
    for tensor in tensors:
        yield tensor.name, slice(start, start + tensor.size)
        start += tensor.size


def short(value: object) -> str:
    """A value as a message shows it."""
    text = repr(value)
    return text if len(text) < 60 else f"{text[:60]}..."
