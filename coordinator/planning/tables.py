"""The tables of a plan, as texts."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from distbelief.coordinator.planning.plan import FleetPlan
from distbelief.coordinator.planning.rows import FleetRow, fewest_servers
from distbelief.coordinator.planning.simulation.outcome import RESOURCES
from distbelief.coordinator.planning.words import NAMES, duration, number
from distbelief.coordinator.views.columns import tabulate

#: Rows of cells; the first has the names of the columns.
Cells = list[list[str]]

MEGABYTE = 1e6

#: What is shown first where there is no room for all, and what is no number.
FIRST = ("replicas", "servers", "examples/s", "limited by", "time", "money", "machines")
WORDS = "limited by"


def lines(cells: Cells, width: int | None) -> list[Text]:
    """A table for a terminal."""
    return tabulate(cells, width, first=FIRST, right=[each for each in cells[0] if each != WORDS])


def of_rows(plan: FleetPlan, algorithm: str, rows: Sequence[FleetRow]) -> Cells:
    """A line for each fleet, and one for a process alone."""
    alone = next(each for each in plan.alone if each.algorithm == algorithm)
    what = "steps/s" if algorithm == "downpour" else "evaluations/s"
    head = ["replicas", "machines", "servers", what, "examples/s", "staleness"]
    head += ["MB each", "CPU h", "time"]
    money = ["money"] if plan.assumptions.priced else []
    first = ["one process", "1", "none", number(alone.rate), number(alone.examples_s), "0"]
    first += ["0", number(alone.hours), duration(alone.hours)]
    spent = [] if not money else ["-" if alone.money is None else number(alone.money)]
    cells = [[*head, *money, "limited by"], [*first, *spent, "computing"]]
    return [*cells, *(_row(row, priced=bool(money)) for row in rows)]


def _row(row: FleetRow, *, priced: bool) -> list[str]:
    outcome = row.outcome
    staleness = "0" if row.algorithm == "sandblaster" else f"{outcome.staleness[0]:,.0f}"
    cells = [f"{row.replicas:,}", f"{row.machines:,}", f"{row.servers:,}"]
    cells += [number(outcome.rate), number(row.examples_s), staleness]
    cells += [number(outcome.bytes_each / MEGABYTE), number(row.cpu_hours), duration(row.hours)]
    money = [] if not priced else ["-" if row.money is None else number(row.money)]
    share = outcome.busy.get(outcome.limit, 0.0)
    return [*cells, *money, f"{RESOURCES[outcome.limit]} ({100 * share:.0f} %)"]


def shown(plan: FleetPlan) -> list[tuple[str, Cells]]:
    """The tables with what is said of each: the machine itself, then fleets."""
    found = []
    for name in plan.algorithms:
        here = [row for row in plan.here if row.algorithm == name]
        if here:
            caption = f"{NAMES[name]} on this machine"
            found.append((caption, of_rows(plan, name, here)))
        caption = f"{NAMES[name]} on a fleet, on the fewest servers that are as fast as any"
        found.append((caption, of_rows(plan, name, fewest_servers(plan.of(name)))))
    return found


def whole(plan: FleetPlan) -> list[tuple[str, Cells]]:
    """Every fleet that was simulated."""
    return [
        (f"{NAMES[name]}: every fleet that was simulated", of_rows(plan, name, plan.of(name)))
        for name in plan.algorithms
    ]
