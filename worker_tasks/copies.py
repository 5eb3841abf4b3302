"""A replica's copy of the parameters: what it computes on, and the gradient it accrues.

With all parameters in one flat vector the copy is that vector; with tables it is a
:class:`distbelief.worker_tasks.table_copy.TableCopy`. The copies of rounds are made of both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.split.partition import Subset
from distbelief.app.layout.keys import slot
from distbelief.app.layout.rows import Ids, TableRows
from distbelief.app.layout.tensors import Vector
from distbelief.app.models.model import Features, Model, Narrowed, Targets, Weights, weighed
from distbelief.app.optimizers.rule import Rule
from distbelief.app.settings.config import RunConfig
from distbelief.app.store.contract.parameters import Fetched, ParameterStore
from distbelief.app.store.native.steps import local_step


@dataclass(frozen=True)
class Examples:
    """The examples of a replica, and how often each row of a table occurs in the training data.

    ``shares`` gives for each table the share of the training examples that touch a row,
    shape (n_rows,); it is needed where the objective has an L2 term.
    """

    dataset: Dataset
    subset: Subset
    shares: Sequence[Vector] = ()

    def minibatch(self, step: int, size: int) -> tuple[Features, Targets]:
        rows = self.subset.minibatch(step, size)
        return self.dataset.features[rows], self.dataset.targets[rows]

    def weights(self, step: int, size: int) -> Weights:
        """Those of a minibatch, if examples have weights."""
        known = self.dataset.weights
        return None if known is None else known[self.subset.minibatch(step, size)]


@dataclass(frozen=True)
class Window:
    """The parameters that a fetch brought for the steps of a window.

    ``minibatches`` are the steps' models and examples, cut to ``rows``; ``slots`` are the
    rows of each of the rule's slots. All are empty for a flat vector.
    """

    fetched: Fetched
    minibatches: dict[int, tuple[Narrowed, Targets]] = field(default_factory=dict)
    rows: Sequence[Ids] = ()
    slots: Sequence[Sequence[Vector]] = ()


class Copy(Protocol):
    """A replica's copy of the parameters.

    ``by_window``: the copy serves the steps that it was fetched for, and no others.
    ``by_round``: what is pushed is what steps have changed, so the last one is taken before.
    With both a window is a round, and is fetched behind the push of the one before.
    """

    by_window: bool
    by_round: bool

    def fetch(self, first: int, stop: int) -> Window:
        """Fetch all that the steps from ``first`` to before ``stop`` need; on any thread."""
        ...

    def install(self, window: Window) -> None:
        """Compute on what was fetched from now on."""
        ...

    def expect_fresh(self) -> None:
        """Note that :meth:`install_fresh` will bring all steps that were taken so far."""
        ...

    def install_fresh(self, parameters: Vector) -> None:
        """Replace the flat vector alone, but for the steps taken since it was expected."""
        ...

    def fetch_slots(self) -> None:
        """Take the optimizer's state of the flat vector from the shards, for local steps."""
        ...

    def compute(self, step: int) -> tuple[float, int]:
        """Accrue the gradient of a minibatch; its mean loss and number of examples."""
        ...

    def step_locally(self, clock: int, share: float = 1.0) -> None:
        """Apply the last gradient to the copy, as a shard at ``clock`` would.

        With this ``share`` of the rule's rate.
        """
        ...

    def take_accrued(self) -> tuple[Vector, list[TableRows]]:
        """The accrued gradient, which begins anew; the one taken before is overwritten."""
        ...


class FlatCopy:
    """All parameters, of shape (D,)."""

    by_window = False
    by_round = False

    def __init__(
        self,
        model: Model,
        examples: Examples,
        store: ParameterStore,
        config: RunConfig,
        stream: int,
    ) -> None:
        self._model = model
        self._examples = examples
        self._store = store
        self._config = config
        self._stream = stream
        self._rule = store.rule
        self._penalty = store.layout.penalty(config.l2, store.dtype)
        # A copy that is replaced before every step needs no local steps.
        self._local_steps = config.overlap or config.fetch_interval > 1
        self._parameters = np.empty(store.layout.size, store.dtype)
        self._slots: list[Vector] = []
        # Memory fresh from the system costs more than what is computed in it: all is kept.
        self._gradient = np.empty_like(self._parameters)
        self._accrued = np.empty_like(self._parameters)
        self._taken = np.empty_like(self._parameters)
        self._expected = np.empty_like(self._parameters)
        self._last = self._gradient
        self._accruing = self._expecting = self._moved = False

    def fetch(self, first: int, stop: int) -> Window:
        return Window(self._store.fetch(stream=self._stream, wire=self._config.wire))

    def install(self, window: Window) -> None:
        self._moved = False
        self.install_fresh(window.fetched.vector)

    def expect_fresh(self) -> None:
        self._expecting = True
        self._moved = False

    def install_fresh(self, parameters: Vector) -> None:
        moved, self._moved, self._expecting = self._moved, False, False
        if moved:
            with np.errstate(over="ignore", invalid="ignore"):
                self._parameters += np.subtract(parameters, self._expected, out=self._expected)
        # A copy that a step of its own has spoilt keeps nothing.
        if not (moved and finite(self._parameters)):
            np.copyto(self._parameters, parameters)
        if self._slots:
            self._slots = [*self._rule.fitting(self._parameters, self._slots)]

    def fetch_slots(self) -> None:
        names = self._rule.slots if self._local_steps else ()
        self._slots = [self._store.fetch(slot(name)).vector for name in names]

    def compute(self, step: int) -> tuple[float, int]:
        features, targets = self._examples.minibatch(step, self._config.batch_size)
        gradient = self._gradient if self._accruing else self._accrued
        keyword = weighed(self._examples.weights(step, self._config.batch_size))
        loss = self._model.loss_and_gradient(
            self._parameters, features, targets, gradient, **keyword
        )
        if self._penalty is not None:
            gradient += self._penalty * self._parameters
        clip([gradient], self._config.clip_norm)
        self._accrue(gradient)
        return loss, len(targets)

    def _accrue(self, gradient: Vector) -> None:
        """Add the gradient of a minibatch; the first one may lie there already."""
        if self._accruing:
            self._accrued += gradient
        elif gradient is not self._accrued:
            np.copyto(self._accrued, gradient)
        self._last = gradient
        self._accruing = True

    def step_locally(self, clock: int, share: float = 1.0) -> None:
        # The shards refuse a gradient that is not finite, and so does the copy: it would
        # spoil every gradient until it is replaced.
        if self._local_steps and all(map(finite, self._last_gradients())):
            self._move(clock, self._rule.paced(share))

    def _last_gradients(self) -> list[Vector]:
        """All that the last minibatch gave."""
        return [self._last]

    def _move(self, clock: int, rule: Rule) -> None:
        """Take a step; the first since fresh parameters were expected begins where it began."""
        if self._expecting:
            np.copyto(self._expected, self._parameters)
            self._expecting = False
            self._moved = True
        local_step(rule, self._last, [self._parameters, *self._slots], clock)

    def take_accrued(self) -> tuple[Vector, list[TableRows]]:
        self._accrued, self._taken = self._taken, self._accrued
        self._accruing = False
        return self._taken, []


def finite(vector: Vector) -> bool:
    """Whether all numbers are finite; a finite sum of their squares tells it at once."""
    return math.isfinite(np.vdot(vector, vector)) or bool(np.isfinite(vector).all())


def clip(gradient: Sequence[npt.NDArray[np.floating]], longest: float | None) -> None:
    """Scale ``gradient`` down to the norm ``longest`` if it is longer (Pascanu et al. 2013)."""
    if longest is None:
        return
    norm = float(np.sqrt(sum(np.square(part, dtype=np.float64).sum() for part in gradient)))
    if norm > longest:
        for part in gradient:
            np.multiply(part, longest / norm, out=part)
