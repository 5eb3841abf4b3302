"""What Downpour's shards hold at the end: the parameters of the best model, or the last ones."""

from __future__ import annotations

from distbelief.app.layout.keys import BEST, PARAMETERS, slot
from distbelief.app.layout.rows import Tables
from distbelief.app.store.contract.parameters import ParameterStore
from distbelief.coordinator.progress.outcome import HeldoutEvaluation
from distbelief.coordinator.runs.driver import FinalState


def read_final_state(store: ParameterStore, best: HeldoutEvaluation | None) -> FinalState:
    """Read the model that was ``best``, with the slots as they are now; the last without one."""
    vector = PARAMETERS if best is None else BEST
    slots = {name: store.fetch(slot(name)).vector for name in store.rule.slots}
    sources = {PARAMETERS: vector} | {slot(name): slot(name) for name in slots}
    tabled = sources.items() if store.layout.tables else ()
    tables: dict[str, Tables] = {name: store.touched(source) for name, source in tabled}
    return FinalState(best, store.fetch(vector).vector, slots, tables)
