"""The cheapest fleet for a wanted throughput, and whether a fleet is worth it at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from distbelief.coordinator.planning.forecast import Forecaster
from distbelief.coordinator.planning.rows import Alone, FleetRow

#: A fleet that is not faster than one process by this factor is not worth its servers.
WORTH = 1.1

#: Fleets that are simulated between two of the table, to find the smallest that will do.
BETWEEN = 6


@dataclass(frozen=True)
class FleetChoice:
    """What to take for the wanted examples a second.

    ``alone`` if one process will do; ``row`` if a fleet does; neither if nothing that was looked at
    does: then ``fastest`` is what there is.
    """

    wanted: float
    alone: Alone | None
    row: FleetRow | None
    fastest: FleetRow


def cost_of(row: FleetRow) -> float:
    """Money an hour, or machines where there is no price."""
    return row.money_hour if row.money_hour is not None else row.machines + row.servers + 1


def choose(
    forecaster: Forecaster, alone: Sequence[Alone], rows: Sequence[FleetRow], wanted: float
) -> FleetChoice:
    """The cheapest fleet of all algorithms and sizes that does it, refined between the rows."""
    fastest = max(rows, key=lambda row: row.examples_s)
    enough = [each for each in alone if each.examples_s >= wanted]
    if enough:
        return FleetChoice(wanted, max(enough, key=lambda each: each.examples_s), None, fastest)
    able = [row for row in rows if row.examples_s >= wanted]
    if not able:
        return FleetChoice(wanted, None, None, fastest)
    cheapest = min(able, key=lambda row: (cost_of(row), row.replicas, row.servers))
    return FleetChoice(wanted, None, _refined(forecaster, cheapest, rows, wanted), fastest)


def _refined(
    forecaster: Forecaster, row: FleetRow, rows: Sequence[FleetRow], wanted: float
) -> FleetRow:
    """Fewer replicas on as many servers, as long as these do."""
    smaller = [
        each.replicas
        for each in rows
        if (each.algorithm, each.servers, each.here) == (row.algorithm, row.servers, row.here)
        and each.replicas < row.replicas
    ]
    low, best = max(smaller, default=0), row
    for _ in range(BETWEEN):
        middle = (low + best.replicas) // 2
        if middle in (low, best.replicas):
            break
        tried = forecaster.row(row.algorithm, middle, row.servers, here=row.here)
        if tried.examples_s >= wanted:
            best = tried
        else:
            low = middle
    return best


def worth_it(alone: Alone, rows: Sequence[FleetRow]) -> FleetRow | None:
    """The smallest fleet that is faster than one process; None if there is none."""
    faster = [row for row in rows if row.examples_s >= WORTH * alone.examples_s]
    return min(faster, key=lambda row: (row.replicas, row.servers), default=None)
