"""A replica's copy of the parameters: what it computes on, and the gradient it accrues.

With all parameters in one flat vector the copy is that vector; with tables it is a
:class:`worker_tasks.table_copy.TableCopy`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from app.config import RunConfig
from app.datasets.dataset import Dataset
from app.datasets.split import Subset
from app.keys import slot
from app.layout import Vector
from app.models.model import Features, Model, Narrowed, Targets
from app.optimizers.rule import local_step
from app.rows import Ids, TableRows
from app.store.contract import Fetched, ParameterStore


@dataclass(frozen=True)
class Examples:
    """What a replica trains on, and how often each row of a table occurs there.

    ``shares`` gives for each table the share of the training examples that touch a row,
    shape (n_rows,); it is needed where the objective has an L2 term.
    """

    dataset: Dataset
    subset: Subset
    shares: Sequence[Vector] = ()

    def minibatch(self, step: int, size: int) -> tuple[Features, Targets]:
        rows = self.subset.minibatch(step, size)
        return self.dataset.features[rows], self.dataset.targets[rows]


@dataclass(frozen=True)
class Window:
    """What a fetch brought for the steps of a window.

    ``minibatches`` are the steps' models and examples, cut to ``rows``; ``slots`` are the
    rows of each of the rule's slots. All are empty for a flat vector.
    """

    fetched: Fetched
    minibatches: dict[int, tuple[Narrowed, Targets]] = field(default_factory=dict)
    rows: Sequence[Ids] = ()
    slots: Sequence[Sequence[Vector]] = ()


class Copy(Protocol):
    """``by_window``: what is computed on is fetched for known steps, and for no others."""

    by_window: bool

    def fetch(self, first: int, stop: int) -> Window:
        """What the steps from ``first`` to before ``stop`` need; called on any thread."""
        ...

    def install(self, window: Window) -> None:
        """Compute on what was fetched from now on."""
        ...

    def install_fresh(self, parameters: Vector) -> None:
        """Replace the flat vector alone."""
        ...

    def fetch_slots(self) -> None:
        """Take the optimizer's state of the flat vector from the shards, for local steps."""
        ...

    def compute(self, step: int) -> tuple[float, int]:
        """Accrue the gradient of a minibatch; its mean loss and number of examples."""
        ...

    def step_locally(self, clock: int) -> None:
        """Apply the last gradient to the copy, as a shard at ``clock`` would."""
        ...

    def take_accrued(self) -> tuple[Vector, list[TableRows]]:
        """The accrued gradient, which begins anew."""
        ...


class FlatCopy:
    """All parameters, of shape (D,)."""

    by_window = False

    def __init__(
        self,
        model: Model,
        examples: Examples,
        store: ParameterStore,
        config: RunConfig,
        stream: int,
    ) -> None:
        self._model, self._examples, self._store = model, examples, store
        self._config, self._stream = config, stream
        self._penalty = store.layout.penalty(config.l2, store.dtype)
        # A copy that is replaced before every step needs no local steps.
        self._local_steps = config.overlap or config.n_fetch > 1
        self._parameters = np.empty(store.layout.size, store.dtype)
        self._gradient = np.empty_like(self._parameters)
        self._accrued = np.zeros_like(self._parameters)
        self._slots: list[Vector] = []

    def fetch(self, first: int, stop: int) -> Window:
        return Window(self._store.fetch(stream=self._stream))

    def install(self, window: Window) -> None:
        self.install_fresh(window.fetched.vector)

    def install_fresh(self, parameters: Vector) -> None:
        np.copyto(self._parameters, parameters)
        if self._slots:
            self._slots = [*self._store.rule.fitting(self._parameters, self._slots)]

    def fetch_slots(self) -> None:
        names = self._store.rule.slots if self._local_steps else ()
        self._slots = [self._store.fetch(slot(name)).vector for name in names]

    def compute(self, step: int) -> tuple[float, int]:
        features, targets = self._examples.minibatch(step, self._config.batch_size)
        loss = self._model.loss_and_gradient(self._parameters, features, targets, self._gradient)
        if self._penalty is not None:
            self._gradient += self._penalty * self._parameters
        clip([self._gradient], self._config.clip_norm)
        self._accrued += self._gradient
        return loss, len(targets)

    def step_locally(self, clock: int) -> None:
        # The shards refuse a gradient that is not finite, and so does the copy: it would
        # spoil every gradient until it is replaced.
        if self._local_steps and np.isfinite(self._gradient).all():
            values = [self._parameters, *self._slots]
            local_step(self._store.rule, self._gradient, values, clock)

    def take_accrued(self) -> tuple[Vector, list[TableRows]]:
        accrued, self._accrued = self._accrued, np.zeros_like(self._accrued)
        return accrued, []


def clip(gradient: Sequence[npt.NDArray[np.floating]], longest: float | None) -> None:
    """Scale ``gradient`` down to the norm ``longest`` if it is longer (Pascanu et al. 2013)."""
    if longest is None:
        return
    norm = float(np.sqrt(sum(np.square(part, dtype=np.float64).sum() for part in gradient)))
    if norm > longest:
        for part in gradient:
            np.multiply(part, longest / norm, out=part)
