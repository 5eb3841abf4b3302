"""What a portion costs in a real minimisation, divided among the parts that were measured apart.

All that its processes, the coordinator and the servers spent on real iterations is known; of what,
only portions that are computed and added apart tell. Who computes beside others takes longer, as a
simulation knows. So the costs of iterations are told as of a core with nothing beside it, or the
simulation would make them longer once more.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace

from distbelief.coordinator.planning.costs import ExchangeCost, Samples


@dataclass(frozen=True)
class IterationCosts:
    """CPU seconds that real iterations took, for each portion; of servers, for each evaluation.

    ``process_s`` are those of the processes that compute, in all that they do; None if the system
    does not tell.
    """

    coordinator_s: float
    control_s: float
    main_s: float
    process_s: float | None
    servers_s: float

    def total_s(self, portions: int) -> float:
        """CPU seconds of an evaluation of so many portions."""
        each = self.coordinator_s + self.control_s + self.main_s + (self.process_s or 0.0)
        return portions * each + self.servers_s


@dataclass(frozen=True)
class PortionParts:
    """CPU seconds of a portion's parts, on a core with nothing beside it.

    ``portions`` are samples of computing one, ``process_s`` what its process spends on it beside
    computing and exchanges; ``add`` and ``vectors_s`` are the servers' shares.
    """

    portions: Samples
    process_s: float | None
    add: ExchangeCost
    coordinator_s: float
    control_s: float
    main_s: float
    vectors_s: float


@dataclass(frozen=True)
class Apart:
    """What was measured apart, of one process and with nobody else at work."""

    portions: Samples
    add: ExchangeCost
    fetch: ExchangeCost
    size: tuple[int, int, int]


def parts_of(
    apart: Apart, seen: IterationCosts, n_portions: int, fetches: int, slowdown: float
) -> PortionParts:
    """Divide what iterations cost, in which each of so many processes fetched the point once.

    ``slowdown`` is how many times longer the work of the coordinator and of the control server
    took, which goes on while a process computes; meanwhile that one was as much slower. A worker's
    main process takes a message when a process is free, and the servers add what it waits for.
    """
    beside_s = seen.coordinator_s + seen.control_s
    exchanges_s = apart.add.client.at(*apart.size)
    exchanges_s += fetches / n_portions * apart.fetch.client.at(*apart.size)
    portions, process_s = apart.portions, None
    if seen.process_s is not None:
        lost_s = min(beside_s, seen.process_s) * (1 - 1 / slowdown)
        left_s = seen.process_s - lost_s - exchanges_s
        mean_s = statistics.fmean(portions)
        process_s = max(0.0, left_s - mean_s)
        # In an evaluation a portion may be cheaper than apart, but not for nothing.
        fits = min(1.0, left_s / mean_s)
        portions = tuple(each * fits for each in portions) if fits > 0 else portions
    added_s = n_portions * apart.add.server.at(*apart.size)
    fetched_s = fetches * apart.fetch.server.at(*apart.size)
    cheaper = min(1.0, seen.servers_s / (added_s + fetched_s)) if seen.servers_s > 0 else 1.0
    return PortionParts(
        portions=portions,
        process_s=process_s,
        add=replace(apart.add, server=apart.add.server.scaled(cheaper)),
        coordinator_s=seen.coordinator_s / slowdown,
        control_s=seen.control_s / slowdown,
        main_s=seen.main_s,
        vectors_s=max(0.0, seen.servers_s - added_s - fetched_s),
    )


def totals(seen: Mapping[int, IterationCosts], portions: int) -> dict[int, float]:
    """CPU seconds of an evaluation by so many processes: of all, where the system tells them."""
    return {
        count: each.total_s(portions) for count, each in seen.items() if each.process_s is not None
    }
