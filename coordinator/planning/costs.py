"""The cost of calls to the servers as samples around a line: so much a call, so much a number."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

Samples = tuple[float, ...]


@dataclass(frozen=True)
class Waits:
    """Seconds for which a thread that is to go on waits, while nobody computes for it.

    It is woken up, and wants the interpreter: ``idle_s`` where a core is free, ``busy_s`` where it
    has to wait for one as well.
    """

    idle_s: float
    busy_s: float


NO_WAITS = Waits(0.0, 0.0)


@dataclass(frozen=True)
class Crowd:
    """So many processes for each core, and what that costs beside one for each.

    Who takes turns on a core finds its caches cold: the CPU seconds of all grow ``growth`` times. A
    thread that is woken waits for its turn ``wait_s`` longer, though another core may be free.
    """

    per_core: float
    growth: float
    wait_s: float = 0.0


NO_CROWD = Crowd(1.0, 1.0)


@dataclass(frozen=True)
class LineCost:
    """``fixed`` for an exchange, and so much for each server, call and number in it.

    ``spread`` are samples in units of their mean: how far single exchanges are from the line.
    """

    fixed: float
    per_server: float
    per_call: float
    per_number: float
    spread: Samples = (1.0,)

    def at(self, servers: float, calls: float, numbers: float) -> float:
        """The mean cost of an exchange of so many calls with so many numbers in all."""
        by_size = self.per_call * calls + self.per_number * numbers
        return self.fixed + self.per_server * servers + by_size

    def scaled(self, factor: float) -> LineCost:
        return replace(
            self,
            fixed=self.fixed * factor,
            per_server=self.per_server * factor,
            per_call=self.per_call * factor,
            per_number=self.per_number * factor,
        )


@dataclass(frozen=True)
class ExchangeCost:
    """An exchange with all servers: CPU seconds here and there, bytes in both directions."""

    client: LineCost
    server: LineCost
    up: LineCost
    down: LineCost


@dataclass(frozen=True)
class Measured:
    """Exchanges of one kind as a worker reports them, in one layout."""

    servers: int
    calls: int
    numbers: int
    series: Mapping[str, Samples]

    @classmethod
    def of(cls, report: Mapping[str, Any]) -> Measured:
        names = {"cpu_s": "client", "server_s": "server", "received": "up", "sent": "down"}
        series = {ours: tuple(report[theirs]) for theirs, ours in names.items()}
        return cls(report["servers"], report["calls"], report["numbers"], series)

    def middle(self, name: str) -> float:
        return statistics.median(self.series[name])


@dataclass(frozen=True)
class SmallExchanges:
    """Exchanges of next to no numbers: one call, one on each server, and many on each."""

    few: Measured
    each: Measured
    many: Measured

    @classmethod
    def of(cls, report: Mapping[str, Any]) -> SmallExchanges:
        return cls(*(Measured.of(report[name]) for name in ("few", "each", "many")))


def fit_exchange(real: Measured, small: SmallExchanges) -> ExchangeCost:
    """The lines through four layouts; that of the run is met exactly."""
    client, server, up, down = (
        fit_line(name, real, small) for name in ("client", "server", "up", "down")
    )
    return ExchangeCost(client, server, up, down)


def fit_line(name: str, real: Measured, small: SmallExchanges) -> LineCost:
    """Of ``name``: calls from the small layouts, numbers from what is left of the real one.

    Only a worker does something once for a whole exchange; on one server alone that cannot be
    told from what it does for each server, and is taken for that.
    """
    few, each, many = (part.middle(name) for part in (small.few, small.each, small.many))
    per_call = max(0.0, (many - each) / (small.many.calls - small.each.calls))
    per_server, fixed = max(0.0, few - per_call), 0.0
    if name == "client" and small.each.servers > 1:
        per_server = max(0.0, (each - few) / (small.each.servers - 1) - per_call)
        fixed = max(0.0, few - per_server - per_call)
    line = LineCost(fixed, per_server, per_call, 0.0, spread_of(real.series[name]))
    total, known = real.middle(name), line.at(real.servers, real.calls, 0)
    if known > total:  # noise, or calls that are cheaper than any of the small ones
        return line.scaled(total / known)
    return replace(line, per_number=(total - known) / max(1, real.numbers))


def spread_of(samples: Sequence[float]) -> Samples:
    """Samples in units of their mean; without the few that were interrupted for very long."""
    ordered = sorted(samples)
    kept = ordered[: max(1, round(0.99 * len(ordered)))]
    mean = statistics.fmean(kept)
    return tuple(each / mean for each in kept) if mean > 0 else (1.0,)
