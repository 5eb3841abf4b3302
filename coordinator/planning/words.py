"""A plan in sentences: made from its numbers, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from distbelief.coordinator.planning.assumptions import Assumptions, told
from distbelief.coordinator.planning.calibration import Calibration, Machines, SeenRate
from distbelief.coordinator.planning.choice import WORTH, FleetChoice, worth_it
from distbelief.coordinator.planning.rows import Alone, FleetRow, fewest_servers
from distbelief.coordinator.planning.simulation.outcome import RESOURCES

#: A machine is busy with something else above this load for each core; and a simulation that is
#: further from what the calibration saw is not to be trusted.
BUSY, TRUSTED = 0.5, 0.25

NAMES = {"downpour": "Downpour", "sandblaster": "Sandblaster"}


def number(value: float) -> str:
    """A number as people read it: three digits that mean something."""
    if value >= 1000:
        digits = len(str(int(value)))
        return f"{round(value, 3 - digits):,.0f}"
    return f"{value:.3g}"


def duration(hours: float) -> str:
    """Hours as people say them."""
    seconds = 3600 * hours
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{hours:,.3g} h"


def fleet_text(row: FleetRow) -> str:
    """A fleet in words."""
    servers = f"{row.servers:,} server{'s' if row.servers > 1 else ''}"
    replicas = f"{row.replicas:,} replica{'s' if row.replicas > 1 else ''}"
    if row.here:
        return f"{replicas} and {servers} on this machine"
    machines = f"{row.machines:,} machine{'s' if row.machines > 1 else ''}"
    return f"{replicas} on {machines} and {servers}"


def alone_sentence(alone: Alone, rows: Sequence[FleetRow]) -> str:
    """Whether one process is better, said plainly."""
    name = NAMES[alone.algorithm]
    least, most = worth_it(alone, rows), max(rows, key=lambda row: row.examples_s)
    mine = f"One process alone takes {number(alone.examples_s)} examples a second"
    if least is None:
        return (
            f"{name}: one process is better. {mine}; no fleet that was looked at is more than "
            f"{100 * (WORTH - 1):.0f} % faster: the best, {fleet_text(most)}, takes "
            f"{number(most.examples_s)}, limited by {RESOURCES[most.outcome.limit]}."
        )
    times = most.examples_s / alone.examples_s
    before = (
        f"one process is better than any fleet smaller than {fleet_text(least)}"
        if least.replicas > 1
        else f"{fleet_text(least)} is faster already"
    )
    return (
        f"{name}: {mine}; {before}. The fastest fleet that was looked at, {fleet_text(most)}, "
        f"takes {number(most.examples_s)}, {number(times)} times as many, limited by "
        f"{RESOURCES[most.outcome.limit]}."
    )


def saturation_sentence(rows: Sequence[FleetRow]) -> str:
    """Which resource the throughput depends on, from the smallest fleet to the largest."""
    stretches: list[list[FleetRow]] = []
    for row in fewest_servers([*rows]):
        if stretches and stretches[-1][0].outcome.limit == row.outcome.limit:
            stretches[-1].append(row)
        else:
            stretches.append([row])
    parts = [
        f"{_between(stretch)} by {RESOURCES[stretch[0].outcome.limit]}" for stretch in stretches
    ]
    return (
        f"{NAMES[rows[0].algorithm]} on as many servers as help is limited "
        + ", ".join(parts)
        + "."
    )


def _between(stretch: Sequence[FleetRow]) -> str:
    first, last = stretch[0].replicas, stretch[-1].replicas
    return f"at {first:,}" if first == last else f"from {first:,} to {last:,} replicas"


def choice_sentence(choice: FleetChoice) -> str:
    """What to take for the wanted throughput."""
    wanted = f"For {number(choice.wanted)} examples a second"
    if choice.alone is not None:
        return f"{wanted} one process is enough ({number(choice.alone.examples_s)}): take no fleet."
    if choice.row is None:
        fastest = choice.fastest
        return (
            f"{wanted} no fleet that was looked at is enough: the fastest, {fleet_text(fastest)} "
            f"with {NAMES[fastest.algorithm]}, takes {number(fastest.examples_s)}, limited by "
            f"{RESOURCES[fastest.outcome.limit]}."
        )
    row = choice.row
    price = (
        f"at {number(row.money_hour)} an hour"
        if row.money_hour is not None
        else "by the number of machines"
    )
    whole = "" if row.money is None else f", {number(row.money)} for the whole training"
    return (
        f"{wanted} the cheapest fleet is {NAMES[row.algorithm]} with {fleet_text(row)} {price}"
        f"{whole}: {number(row.examples_s)} examples a second, limited by "
        f"{RESOURCES[row.outcome.limit]}."
    )


def check_sentences(checks: Sequence[tuple[SeenRate, float]], machines: Machines) -> Iterator[str]:
    """What the calibration itself saw, beside the simulation of it, and whether to trust that."""
    if machines.load > BUSY * machines.cores:
        yield (
            f"Warning: the machines were not idle (a load of {machines.load:.1f} on "
            f"{machines.cores} cores before anything was measured). A plan counts CPU seconds, and "
            "takes the machines to have nothing else to do."
        )
    worst = max((abs(predicted / seen.measured - 1) for seen, predicted in checks), default=0.0)
    if worst > TRUSTED:
        yield (
            f"Warning: the simulation is off by {100 * worst:.0f} % for what the calibration "
            "itself saw. Do not spend money by this plan: measure again on idle machines, "
            "with more --seconds."
        )
    for seen, predicted in checks:
        what = "steps" if seen.algorithm == "downpour" else "evaluations"
        fitted = ", by waits that were chosen so" if seen.fitted else ""
        yield (
            f"Check: {NAMES[seen.algorithm]} with {seen.replicas} worker process"
            f"{'es' if seen.replicas > 1 else ''} made {number(seen.measured)} {what} a second "
            f"during the calibration; the simulation says {number(predicted)} "
            f"({100 * (predicted / seen.measured - 1):+.0f} %){fitted}."
        )


def assumption_sentences(calibration: Calibration, assumptions: Assumptions) -> list[str]:
    """What was measured where, and what was taken for granted."""
    machines = calibration.machines
    where = (
        f"this machine alone ({machines.cores} cores, {machines.servers} embedded servers)"
        if machines.embedded
        else f"{machines.workers} workers with {machines.processes} processes in all, "
        f"{machines.servers} servers"
    )
    return [
        f"Calibrated in {calibration.seconds:.0f} s on {where}, {machines.engines[0]} engine.",
        *told(calibration, assumptions),
    ]
