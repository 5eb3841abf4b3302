"""The tables of a comparison: for a terminal and documents, for the page, as CSV and JSON."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rich.text import Text

from distbelief.coordinator.comparison.comparison import Facts
from distbelief.coordinator.comparison.outcome import Costs, End, Outcome
from distbelief.coordinator.comparison.summary import Reached, Row, Spread, Summary
from distbelief.coordinator.comparison.words import number, sentences
from distbelief.coordinator.views.columns import tabulate

#: Costs by their name in tables; those of processors in seconds, bytes in millions.
COSTS: Mapping[str, Callable[[Costs], float]] = {
    "wall s": lambda costs: costs.seconds,
    "CPU s": lambda costs: costs.cpu_s,
    "workers": lambda costs: costs.workers_s,
    "servers": lambda costs: costs.servers_s,
    "coordinator": lambda costs: costs.coordinator_s,
    "examples": lambda costs: costs.examples,
    "MB in": lambda costs: costs.bytes_in / 1e6,
    "MB out": lambda costs: costs.bytes_out / 1e6,
}

#: Those of the short table, which has them with their spread.
SHORT = ("wall s", "CPU s", "examples", "MB")

#: What is shown first where there is no room for all.
FIRST = ("method", "replicas", "CPU s", "reached", "best", "rate")


def overview(summary: Summary) -> list[list[str]]:
    """A short table: what it costs to reach the held-out target. Its first row is the head."""
    head = ["method", "replicas", "rate", "reached", *SHORT, "best"]
    return [head, *(_short(row) for row in summary.rows)]


def _short(row: Row) -> list[str]:
    of = {**COSTS, "MB": lambda costs: costs.bytes / 1e6}
    costs = [text(row.to_value.spread(of[name])) for name in SHORT]
    return [*_begin(row), _count(row, row.to_value), *costs, metric(row.best)]


def whole(summary: Summary, reached: Callable[[Row], Reached]) -> list[list[str]]:
    """Everything that it costs to reach one of the targets. Its first row is the head."""
    head = ["method", "replicas", "rate", "reached", *COSTS]
    rows = [
        [
            *_begin(row),
            _count(row, reached(row)),
            *(text(reached(row).spread(of)) for of in COSTS.values()),
        ]
        for row in summary.rows
    ]
    return [head, *rows]


def tuning(summary: Summary) -> list[list[str]]:
    """What each rate came to, and what all of them cost. The first row is the head."""
    rates = _rates(summary)
    head = [
        "method",
        "replicas",
        *(f"rate {rate:g}" for rate in rates),
        "chosen",
        "CPU s",
        "wall s",
    ]
    rows = []
    for row in summary.rows:
        if row.tuning:
            found = {each.trial.rate: each for each in row.tuning}
            losses = [_loss(found.get(rate)) for rate in rates]
            spent = [sum(of(each.costs) for each in row.tuning) for of in _SPENT]
            chosen = f"{row.rate:g}{' (edge)' if row.on_edge else ''}"
            rows.append([row.method.name, str(row.replicas), *losses, chosen, *map(number, spent)])
    return [head, *rows]


def _rates(summary: Summary) -> list[float]:
    """The rates that were tried, ascending."""
    tried = {each.trial.rate for row in summary.rows for each in row.tuning}
    return sorted(rate for rate in tried if rate is not None)


_SPENT: tuple[Callable[[Costs], float], ...] = (COSTS["CPU s"], COSTS["wall s"])


def _loss(outcome: Outcome | None) -> str:
    if outcome is None:
        return "-"
    return f"{outcome.loss:.3g}" if outcome.end is End.ENDED else str(outcome.end)


def _begin(row: Row) -> list[str]:
    return [row.method.name, str(row.replicas), "-" if row.rate is None else f"{row.rate:g}"]


def _count(row: Row, reached: Reached) -> str:
    """How many seeds got there, and what became of those that broke."""
    broken = [f"{row.ended(end)} {end}" for end in (End.DIVERGED, End.CRASHED) if row.ended(end)]
    return ", ".join([f"{reached.count} of {row.seeds}", *broken])


def text(spread: Spread) -> str:
    """A median, and in brackets the least and the largest."""
    if math.isnan(spread.median):
        return "unknown"
    if spread.least == spread.largest:
        return number(spread.median)
    return f"{number(spread.median)} ({number(spread.least)}-{number(spread.largest)})"


def metric(spread: Spread) -> str:
    """A held-out figure with its spread, four digits each."""
    if not math.isfinite(spread.median):
        return "none"
    if spread.least == spread.largest:
        return f"{spread.median:.4g}"
    return f"{spread.median:.4g} ({spread.least:.4g}-{spread.largest:.4g})"


def lines(table: Sequence[Sequence[str]], width: int | None) -> list[Text]:
    """A table for a terminal."""
    return tabulate(table, width, first=FIRST)


def markdown(table: Sequence[Sequence[str]]) -> list[str]:
    """A table for a document."""
    head, *rows = (f"| {' | '.join(row)} |" for row in table)
    return [head, "|" + "---|" * len(table[0]), *rows]


def csv_text(summary: Summary) -> str:
    """Every point of every trial: a line each."""
    costs = ("seconds", "workers_s", "servers_s", "coordinator_s", "examples", "bytes_in")
    names = (*costs, "bytes_out")
    buffer = io.StringIO()
    lines = csv.writer(buffer, lineterminator="\n")
    head = ("method", "replicas", "rate", "seed", "tuning", "end", *names, "metric", "loss")
    lines.writerow(head)
    for tuned, outcome in _trials(summary):
        trial, rate = outcome.trial, "" if outcome.trial.rate is None else outcome.trial.rate
        begin = (trial.method, trial.replicas, rate, trial.seed, int(tuned), outcome.end.value)
        for point in outcome.points or (None,):
            if point is None:
                lines.writerow((*begin, *("" for _ in names), "", ""))
                continue
            used = (f"{getattr(point.costs, name):.6g}" for name in names)
            lines.writerow((*begin, *used, f"{point.metric:.6g}", f"{point.loss:.8g}"))
    return buffer.getvalue()


def _trials(summary: Summary) -> Iterator[tuple[bool, Outcome]]:
    for row in summary.rows:
        yield from ((True, each) for each in row.tuning)
        yield from ((False, each) for each in row.outcomes)


def document(facts: Facts, budget_s: float, summary: Summary) -> dict[str, Any]:
    """The comparison as JSON: no number is NaN or infinite, what is unknown is null."""
    targets = summary.targets
    return {
        "sentences": sentences(summary),
        "facts": facts.to_json(),
        "budget_s": budget_s,
        "targets": {
            "metric": targets.metric,
            "value": _finite(targets.value),
            "loss": _finite(targets.loss),
        },
        "methods": [_row(row) for row in summary.rows],
    }


def _row(row: Row) -> dict[str, Any]:
    ways = {"to_target": row.to_value, "to_loss": row.to_loss}
    return {
        "method": row.method.name,
        "replicas": row.replicas,
        "rate": row.rate,
        "seeds": row.seeds,
        "diverged": row.ended(End.DIVERGED),
        "crashed": row.ended(End.CRASHED),
        "best": _spread(row.best),
        **{name: _way(way) for name, way in ways.items()},
        "tuning": {
            "losses": {f"{each.trial.rate:g}": _finite(each.loss) for each in row.tuning},
            "cpu_s": _finite(sum(each.costs.cpu_s for each in row.tuning)),
            "seconds": _finite(sum(each.costs.seconds for each in row.tuning)),
        },
    }


def _way(reached: Reached) -> dict[str, Any]:
    costs = {name.replace(" ", "_"): _spread(reached.spread(of)) for name, of in COSTS.items()}
    return {"reached": reached.count, **costs}


def _spread(spread: Spread) -> list[float | None]:
    """Median, least, largest."""
    return [_finite(each) for each in (spread.median, spread.least, spread.largest)]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
