"""The lines that Downpour adds to the summary of a training."""

from __future__ import annotations

from distbelief.app.store.contract.parameters import ParameterStore
from distbelief.coordinator.downpour.units import UnitPlan


def summary(store: ParameterStore, plan: UnitPlan, waited_s: float) -> list[str]:
    """Steps, updates, tables and waits; ``waited_s`` is how long replicas were held back."""
    counts = store.counts()
    low, high = (pick(count.applied for count in counts) for pick in (min, max))
    refused = max(count.refused for count in counts)
    lines = [
        f"{plan.steps_done:,} steps; updates applied: "
        f"{low if low == high else f'{low} to {high}'} on each of {len(counts)} shards, "
        f"{plan.total_pushes} planned"
    ]
    if store.layout.tables:
        lines.append(_tables(store))
    if refused:
        lines.append(f"updates refused because they were not finite: {refused}")
    if waited_s:
        lines.append(f"waited {waited_s:.1f} s for slower replicas")
    return lines


def _tables(store: ParameterStore) -> str:
    rows = sum(table.n_rows for table in store.layout.tables)
    touched = sum(len(part.ids) for part in store.touched())
    return (
        f"tables: {touched:,} of {rows:,} rows are stored, in whole blocks, "
        f"{store.stored_bytes() / 2**20:,.1f} MiB on the servers"
    )
