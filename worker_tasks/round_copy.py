"""A replica's copy in a training by rounds: steps of its own, and what they changed is pushed.

A round begins where the shards stood and ends some steps later. The difference of the two is
pushed as a gradient is, and an outer rule applies it (Douillard et al. 2023, "DiLoCo", alg. 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from distbelief.app.layout.rows import TableRows
from distbelief.app.layout.tensors import Vector
from distbelief.app.models.model import Model
from distbelief.app.optimizers.outer import OuterSettings
from distbelief.app.optimizers.registry import build_rule
from distbelief.app.optimizers.rule import Rule
from distbelief.app.settings.config import RunConfig
from distbelief.app.store.contract.parameters import ParameterStore
from distbelief.worker_tasks.copies import Examples, FlatCopy, Window, finite
from distbelief.worker_tasks.row_states import RowStates


@dataclass
class OwnState:
    """The state of a stream's own rule before step ``step``, begun ``age`` steps ago.

    With tables, ``rows`` is that of the rows of each which have been in a round.
    """

    slots: Sequence[Vector]
    step: int
    age: int = 0
    rows: Sequence[RowStates] = ()


#: The state of each stream whose steps a process has taken, kept from unit to unit; or that of the
#: process, where streams outnumber replicas: each unit is then of another.
OwnStates = dict[int, OwnState]


class RoundCopy(FlatCopy):
    """All parameters, which the run's rule changes here; shards only learn what came of a round.

    The rule's state goes on where this process took the step before; else it begins anew. Where
    streams outnumber replicas it goes on with whatever stream this process works on next.
    """

    by_round = True

    def __init__(
        self,
        model: Model,
        examples: Examples,
        store: ParameterStore,
        config: RunConfig,
        stream: int,
        states: OwnStates,
    ) -> None:
        super().__init__(model, examples, store, config, stream)
        self._rule, self._factor = own_rule(config)
        self._local_steps = True
        self._states = states
        self._shared = config.comes_and_goes
        self._owner = 0 if self._shared else stream
        self._state: OwnState | None = None
        self._began = np.empty_like(self._parameters)
        self._spoilt = False

    def install(self, window: Window) -> None:
        self._spoilt = False
        super().install(window)

    def install_fresh(self, parameters: Vector) -> None:
        # What is not finite would be replaced: the shards are to hear of it.
        self._spoilt |= self._moved and not finite(self._parameters)
        super().install_fresh(parameters)
        np.copyto(self._began, parameters)
        if self._state is not None:
            self._state.slots = self._slots

    def fetch_slots(self) -> None:
        """Nothing: the state of the rule is here."""

    def compute(self, step: int) -> tuple[float, int]:
        if self._state is None or self._state.step != step:
            self._go_on_with(self._state_before(step))
        return super().compute(step)

    def step_locally(self, clock: int, share: float = 1.0) -> None:
        state = self._state
        assert state is not None
        if all(map(finite, self._last_gradients())):
            self._move(state.age, self._rule.paced(share))
        else:
            self._spoilt = True
        state.age += 1
        state.step += 1

    def take_accrued(self) -> tuple[Vector, list[TableRows]]:
        with np.errstate(over="ignore", invalid="ignore"):
            np.subtract(self._began, self._parameters, out=self._taken)
        if self._spoilt or not all(map(finite, self._all_slots())):
            # As with any gradient that is not finite: each shard refuses it, and counts it.
            self._taken.fill(np.nan)
            self._spoilt = False
            self._state = None
            self._states.pop(self._owner, None)
        return self._taken, []

    def _accrue(self, gradient: Vector) -> None:
        self._last = self._standing_for_many(gradient)

    def _standing_for_many(self, gradient: Vector) -> Vector:
        """A gradient as the rule of the replica's own steps is to have it."""
        if self._factor != 1:
            with np.errstate(over="ignore", invalid="ignore"):
                gradient *= self._factor
        return gradient

    def _all_slots(self) -> list[Vector]:
        """All of the rule's state that steps of this round have changed."""
        return self._slots

    def _go_on_with(self, state: OwnState) -> None:
        """Have the next step go on with this state."""
        self._state = self._states[self._owner] = state
        self._slots = [*self._rule.fitting(self._parameters, state.slots)]

    def _state_before(self, step: int) -> OwnState:
        """The state that this process has left before ``step``, or a new one."""
        known = self._states.get(self._owner)
        if known is not None and self._shared:
            known = replace(known, step=step)
        if known is not None and known.step == step:
            return known
        first = self._rule.initial_slots(self._parameters.astype(np.float64))
        slots = (first[name].astype(self._parameters.dtype) for name in self._rule.slots)
        return OwnState([*slots], step)


def own_rule(config: RunConfig) -> tuple[Rule, float]:
    """The rule of a replica's own steps, and the factor of gradients for it.

    Each stands for as many pushes as the settings say. :class:`Schedule` sees to the decay of the
    rate: the clock of such a rule is the age of its state, by which a rate does not decay.
    """
    rule = build_rule(config)
    if config.learning_rate_decay:
        rule = replace(rule, decay=0.0)  # type: ignore[type-var]
    return rule.standing_for(OuterSettings.of(config).step_weight)
