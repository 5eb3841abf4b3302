"""Any ``torch.nn.Module``, trained on our parameter servers (extra ``torch``).

The module is code and nothing else: its parameters are views into the flat vector that a
caller brings, their gradients views into the caller's gradient, so nothing is copied on a
CPU. On a GPU, which is used where there is one, one flat copy goes each way. One call runs
at a time; a replica's narrowing on another thread waits for it.

The gradient is a pure function of parameters and minibatch. Dropout and the like draw from
a seed that is made of the minibatch, so a replayed step is the same step, and L-BFGS has a
fixed objective.

Buffers of floating-point numbers (batch norm's running statistics) are no parameters: no
gradient says where they should go, and moving averages of replicas that go their own ways
would be averages of nothing. So training leaves them as they began, and batch norm works
with each minibatch's own statistics, as it always does in training. Whenever the
parameters are used to predict, the buffers are computed for these very parameters from
training examples (Wu & Johnson 2021, "Rethinking 'Batch' in BatchNorm", sec. 3: better than
moving averages, which mix in those of older parameters): see :meth:`TorchModel.statistics`
and :mod:`distbelief.app.models.batch_norm`. Batch norm cannot train on a single example, so no
minibatch may have only one: where one is left over, choose another ``batch_size``. Buffers
of integers, those with infinities in them (causal masks), and those that are not part of the
module's state, stay as the factory makes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.errors import ModelError
from distbelief.app.layout.tensors import Vector
from distbelief.app.models.imports import load, named
from distbelief.app.models.model import Features, Narrowed, Targets, Task, Weights
from distbelief.app.models.torch_module import Loss, Network, Numbers
from distbelief.app.models.torch_rows import Ids, cut

#: By name: the loss, and the tasks that it is for.
LOSSES: Mapping[str, tuple[Loss, Task]] = {
    "cross_entropy": (functional.cross_entropy, Task.MULTICLASS),
    "log_loss": (functional.binary_cross_entropy_with_logits, Task.BINARY),
    "mse": (functional.mse_loss, Task.REGRESSION),
}


def build(
    factory: str | None, loss: str | None, options: Mapping[str, Any], schema: Schema
) -> TorchModel:
    """The model whose module ``factory`` makes, for data of this ``schema``.

    The factory is called with ``n_features``, ``n_classes`` and the ``options``; if some
    columns are hashed categories, with ``n_dense`` and ``n_fields``, too.

    Raises:
        ModelError: no factory, one that may not be imported or fails, or a module that
            does not fit the data or the loss.
    """
    if factory is None:
        raise ModelError('model "torch" needs a module: --module package.module:function')
    sizes = {"n_features": schema.n_features, "n_classes": schema.n_classes}
    if schema.n_fields:
        sizes |= {"n_dense": schema.n_dense, "n_fields": schema.n_fields}
    make = partial(load(factory, "module"), **sizes, **options)
    network = Network(factory, make, schema)
    task = _task(factory, network.n_outputs, schema.n_classes)
    return TorchModel(network, task, _loss(loss, task))


class TorchModel:
    """A module as a model. Tensors have the names of the module's ``state_dict``.

    All parameters but vectors and scalars (biases, scales of norms) are under the L2 term.
    The weights of embedding layers with ``sparse=True`` are sparse tensors; they begin as
    the module makes them. Frozen parameters get no gradient, so they stay where they are
    under rules that take nothing off by themselves (weight decay, FTRL's L1 and L2).
    ``rows`` are those that a narrowed model has.
    """

    def __init__(
        self, network: Network, task: Task, loss: Loss, rows: Sequence[Ids] | None = None
    ) -> None:
        self._network = network
        self._loss = loss
        self._rows = rows
        self.task = task
        self.tensors = network.tensors if rows is None else cut(network.tensors, rows)

    @property
    def n_statistics(self) -> int:
        """How many numbers at the end of the flat vector are buffers."""
        return self._network.n_statistics

    @property
    def approximate_gradient(self) -> bool:
        """Whether the module says that its gradient is not quite that of its loss."""
        return self._network.approximate_gradient

    def on_cpu(self) -> AbstractContextManager[None]:
        """Compute without a GPU meanwhile."""
        return self._network.on_cpu()

    def initial(self, rng: np.random.Generator) -> Vector:
        return self._network.initial(int(rng.integers(2**63)))

    def narrowed(self, features: Features) -> Narrowed:
        touched = self._network.touched(features)
        rows = tuple(ids for ids, _ in touched)
        model = TorchModel(self._network, self.task, self._loss, rows)
        return Narrowed(model, features, rows, tuple(counts for _, counts in touched))

    def loss_and_gradient(
        self,
        parameters: Vector,
        features: Features,
        targets: Targets,
        gradient: Vector,
        weights: Weights = None,
    ) -> float:
        numbers, targets = self._numbers(parameters), self._typed(targets, parameters)
        loss = self._weighted(weights)
        return self._network.loss_and_gradient(numbers, features, targets, loss, gradient)

    def loss(
        self, parameters: Vector, features: Features, targets: Targets, weights: Weights = None
    ) -> float:
        numbers, targets = self._numbers(parameters), self._typed(targets, parameters)
        return self._network.loss(numbers, features, targets, self._weighted(weights))

    def predict(self, parameters: Vector, features: Features) -> Vector:
        outputs = self._network.outputs(self._numbers(parameters), features)
        if self.task is Task.MULTICLASS:
            outputs = outputs.softmax(dim=1)
        elif self.task is Task.BINARY:
            outputs = outputs.sigmoid()
        predictions: Vector = outputs.cpu().numpy()
        return predictions

    def state_dict(self, parameters: Vector) -> dict[str, torch.Tensor]:
        """The module's state with these parameters, (D,): its ``load_state_dict`` takes it all."""
        return self._network.state_dict(parameters)

    def statistics(self, parameters: Vector, features: Features) -> Vector:
        """The buffers, (n_statistics,), as these examples alone would make them."""
        return self._network.statistics(self._numbers(parameters), features)

    @property
    def takes_weights(self) -> bool:
        """Whether the loss is one of torch's: one of your own gives the mean only."""
        return self._loss in [loss for loss, _ in LOSSES.values()]

    def _weighted(self, weights: Weights) -> Loss:
        if weights is None:
            return self._loss
        each: Callable[..., torch.Tensor] = self._loss

        def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            losses = each(outputs, targets, reduction="none")
            return (losses * torch.from_numpy(weights.copy()).to(losses)).mean()

        return loss

    def _typed(self, targets: Targets, parameters: Vector) -> Targets:
        """As losses take them: classes are int64, all else is of the outputs' type."""
        return targets.astype(
            np.int64 if self.task is Task.MULTICLASS else parameters.dtype, copy=False
        )

    def _numbers(self, parameters: Vector) -> Numbers:
        return Numbers(parameters, self.tensors, self._rows)


def _task(factory: str, n_outputs: int | None, n_classes: int) -> Task:
    """The task that outputs of the shape (n, n_outputs), or with None (n,), are for."""
    if n_classes == 0 and n_outputs in (None, 1):
        return Task.REGRESSION
    if n_classes == 2 and n_outputs in (None, 1):
        return Task.BINARY
    if n_classes > 1 and n_outputs == n_classes:
        return Task.MULTICLASS
    needed = {0: "(n,) for real numbers", 2: "(n,) or (n, 2) for two classes"}
    shape = "(n,)" if n_outputs is None else f"(n, {n_outputs})"
    advice = ": if the targets are numbers, say so with the option task=regression"
    raise ModelError(
        f'module "{factory}" must give outputs of shape '
        f"{needed.get(n_classes, f'(n, {n_classes}) for the classes')}, got {shape}"
        f"{advice if n_classes and n_outputs in (None, 1) else ''}"
    )


def _loss(name: str | None, task: Task) -> Loss:
    if name is not None and ":" in name:
        return _checked(name, load(name, "loss"))
    if name is None:
        return next(loss for loss, its_task in LOSSES.values() if its_task is task)
    if name not in LOSSES:
        raise ModelError(
            f'unknown loss "{name}": use one of {", ".join(LOSSES)}, '
            'or an import path "package.module:function"'
        )
    loss, its_task = LOSSES[name]
    if its_task is not task:
        raise ModelError(f'the loss "{name}" is for {its_task}, but module and targets are {task}')
    return loss


def _checked(name: str, function: Callable[..., Any]) -> Loss:
    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        try:
            value = function(outputs, targets)
        except Exception as error:  # whatever a user's own code raises
            raise ModelError(f'loss "{name}" failed: {named(error)}') from error
        if not isinstance(value, torch.Tensor) or value.numel() != 1:
            raise ModelError(f'loss "{name}" must give one number as a tensor, got {value!r}')
        return value

    return loss
