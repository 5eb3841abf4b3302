"""The units that are out: handed to whoever is free, and taken back."""

from __future__ import annotations

from functools import partial

from distbelief.app.store.contract.parameters import ParameterStore
from distbelief.coordinator.downpour.acknowledged import check_sequences
from distbelief.coordinator.downpour.pace import Pace
from distbelief.coordinator.downpour.units import PlannedUnit, UnitPlan
from distbelief.coordinator.runs.session import Session


class UnitsOut:
    """Hands out what the plan has, by the workers that are at work.

    Where streams outnumber replicas, as many units wait as are worked on: whoever joins finds
    one, and nobody else's tasks wait behind more of them than there are workers.

    Args:
        pace: what units are told of the workers at work, None where these do not matter.
    """

    def __init__(
        self, session: Session, store: ParameterStore, plan: UnitPlan, pace: Pace | None
    ) -> None:
        self._session = session
        self._store = store
        self._plan = plan
        self._pace = pace
        self._units: dict[str, PlannedUnit] = {}

    def __len__(self) -> int:
        return len(self._units)

    def __contains__(self, unit: str) -> bool:
        return unit in self._units

    def send(self) -> None:
        """Send what may go out now."""
        dispatcher = self._session.dispatcher
        for unit in self._plan.take(self._sequences(), self._room()):
            self._units[unit.name] = unit
            told = {} if self._pace is None else self._pace.told(dispatcher.workers)
            made = partial(self._made, unit)
            dispatcher.submit("downpour", unit.name, {**unit.specification, **told}, made)

    def take(self, name: str) -> PlannedUnit:
        """A unit that came back."""
        return self._units.pop(name)

    def clear(self) -> None:
        """Forget them: they were shut out."""
        self._units.clear()

    def _made(self, unit: PlannedUnit) -> int:
        """The pushes of a unit that the first shard has."""
        return self._store.sequences(unit.subset + 1)[-1] - self._plan.pushes_before(unit)

    def _room(self) -> int | None:
        config = self._plan.config
        if not config.comes_and_goes:
            return None
        wanted = max(config.n_replicas, 2 * self._session.dispatcher.held)
        return max(0, wanted - len(self._units))

    def _sequences(self) -> list[int]:
        """The last push of each stream, where that decides which may go on."""
        config = self._plan.config
        if config.max_staleness is None:
            return []
        last = self._store.sequences(config.n_streams)
        check_sequences(last, self._plan.acknowledged)
        return last
