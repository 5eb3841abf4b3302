"""The rows of a plan's tables: fleets, and one process alone."""

from __future__ import annotations

from dataclasses import dataclass

from distbelief.coordinator.planning.simulation.outcome import FleetOutcome

#: A fleet within this share of the fastest is as fast.
AS_FAST = 0.95


@dataclass(frozen=True)
class FleetRow:
    """A fleet and what it does.

    ``machines`` are those of workers; ``hours`` are for the whole training, ``cpu_hours`` and
    ``money`` likewise (None without a price). ``here``: all on the machine that was measured.
    """

    algorithm: str
    here: bool
    replicas: int
    servers: int
    machines: int
    outcome: FleetOutcome
    examples_s: float
    hours: float
    cpu_hours: float
    money: float | None
    money_hour: float | None


@dataclass(frozen=True)
class Alone:
    """One NumPy process, without servers."""

    algorithm: str
    rate: float
    examples_s: float
    hours: float
    money: float | None


def fewest_servers(rows: list[FleetRow]) -> list[FleetRow]:
    """For each number of replicas the fewest servers that are as fast as the best."""
    chosen = []
    for replicas in sorted({row.replicas for row in rows}):
        same = [row for row in rows if row.replicas == replicas]
        best = max(row.examples_s for row in same)
        chosen.append(next(row for row in same if row.examples_s >= AS_FAST * best))
    return chosen
