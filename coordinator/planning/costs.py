"""The cost of calls to the servers as samples around a line: so much a call, so much a number."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Samples = tuple[float, ...]


@dataclass(frozen=True)
class LineCost:
    """``fixed`` for an exchange, ``per_call`` and ``per_number`` beside it.

    ``spread`` are samples in units of their mean: how far single exchanges are from the line.
    """

    fixed: float
    per_call: float
    per_number: float
    spread: Samples = (1.0,)

    def at(self, calls: float, numbers: float) -> float:
        """The mean cost of an exchange of so many calls with so many numbers in all."""
        return self.fixed + self.per_call * calls + self.per_number * numbers

    def scaled(self, factor: float) -> LineCost:
        parts = (self.fixed * factor, self.per_call * factor, self.per_number * factor)
        return LineCost(*parts, self.spread)


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

    calls: int
    numbers: int
    series: Mapping[str, Samples]

    @classmethod
    def of(cls, report: Mapping[str, Any]) -> Measured:
        names = {"cpu_s": "client", "server_s": "server", "received": "up", "sent": "down"}
        series = {ours: tuple(report[theirs]) for theirs, ours in names.items()}
        return cls(report["calls"], report["numbers"], series)

    def middle(self, name: str) -> float:
        return statistics.median(self.series[name])


def fit_exchange(real: Measured, few: Measured, many: Measured) -> ExchangeCost:
    """The lines through three layouts; that of the run is met exactly."""
    client, server, up, down = (
        fit_line(name, real, few, many) for name in ("client", "server", "up", "down")
    )
    return ExchangeCost(client, server, up, down)


def fit_line(name: str, real: Measured, few: Measured, many: Measured) -> LineCost:
    """Of ``name``: calls from the two small layouts, numbers from what is left of the real one.

    What a server does for an exchange it does for each call, so there nothing is fixed.
    """
    total, small, large = real.middle(name), few.middle(name), many.middle(name)
    if name == "client":
        per_call = max(0.0, (large - small) / (many.calls - few.calls))
    else:
        per_call = max(0.0, large / many.calls)
    fixed = max(0.0, small - per_call * few.calls) if name == "client" else 0.0
    known = fixed + per_call * real.calls
    if known > total:  # noise, or calls that are cheaper than any of the small ones
        fixed, per_call = fixed * total / known, per_call * total / known
        known = total
    per_number = (total - known) / max(1, real.numbers)
    return LineCost(fixed, per_call, per_number, spread_of(real.series[name]))


def spread_of(samples: Sequence[float]) -> Samples:
    """Samples in units of their mean; without the few that were interrupted for very long."""
    ordered = sorted(samples)
    kept = ordered[: max(1, round(0.99 * len(ordered)))]
    mean = statistics.fmean(kept)
    return tuple(each / mean for each in kept) if mean > 0 else (1.0,)
