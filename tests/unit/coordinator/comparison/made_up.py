"""Outcomes that nobody measured, for what is made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from distbelief.app.models.metric import Metric
from distbelief.app.settings.config import ClusterConfig
from distbelief.coordinator.comparison.comparison import Comparison, Facts
from distbelief.coordinator.comparison.folder import ComparisonFolder
from distbelief.coordinator.comparison.methods import methods_of
from distbelief.coordinator.comparison.outcome import Costs, End, Outcome, Point, Trial
from distbelief.coordinator.comparison.plan import Grid
from distbelief.coordinator.comparison.summary import Summary, summarise

RATES = (0.1, 1.0)
TARGET, TARGET_LOSS = 0.9, 0.5
NAMES = ("numpy", "downpour", "downpour-adagrad", "downpour-warm", "sandblaster")


def costs(cpu_s: float, share_of_bytes: float = 1.0) -> Costs:
    """Costs in proportion to CPU seconds: of workers six tenths of them."""
    used = 1e6 * cpu_s * share_of_bytes
    return Costs(2 * cpu_s, 0.6 * cpu_s, 0.3 * cpu_s, 0.1 * cpu_s, 1000 * cpu_s, used, 2 * used)


def outcome(
    trial: Trial, cpu_s: float | None, end: End = End.ENDED, share_of_bytes: float = 1.0
) -> Outcome:
    """One that reaches both targets after some CPU seconds of the ten that it trains; or never."""
    reached = [] if cpu_s is None else [Point(costs(cpu_s, share_of_bytes), 0.95, 0.4)]
    first, last = Point(costs(0.0), 0.1, 2.3), Point(costs(10.0, share_of_bytes), 0.8, 0.6)
    points = () if end is End.CRASHED else (first, *reached, last)
    return Outcome(trial, end, "time is up" if end is End.ENDED else f"it {end}", points, 1.5)


def grid(names: Sequence[str] = NAMES, replicas: Sequence[int] = (2,), n_seeds: int = 3) -> Grid:
    return Grid(methods_of(names), replicas, n_seeds, RATES)


def outcomes(
    over: Grid,
    cpu_s: Mapping[str, Sequence[float | None]],
    good_rates: Mapping[str, Sequence[float]] | None = None,
    share_of_bytes: Mapping[str, float] | None = None,
) -> dict[str, Outcome]:
    """Outcomes by what each seed of a method needs, and by the rates that are good for it."""
    found: dict[str, Outcome] = {}
    for method, replicas in over.pairs:
        rates = RATES if good_rates is None else good_rates.get(method.name, RATES)
        for trial in over.tuning(method, replicas):
            end = End.ENDED if trial.rate in rates else End.DIVERGED
            found[trial.key] = outcome(trial, 1.0 if trial.rate in rates else None, end)
        rate = over.rate(method, replicas, found)
        for trial, needed in zip(
            over.finals(method, replicas, rate), cpu_s[method.name], strict=True
        ):
            share = (share_of_bytes or {}).get(method.name, 1.0)
            found[trial.key] = outcome(trial, needed, share_of_bytes=share)
    return found


def summary(over: Grid, found: Mapping[str, Outcome]) -> Summary:
    return summarise(over, found, Metric.ACCURACY, TARGET, TARGET_LOSS)


def comparison(over: Grid, folder: Path, data: str = "digits") -> Comparison:
    facts = Facts(data, "mlp", 4810, 1438, 359, Metric.ACCURACY, 7e-4, 2, "x86_64, Linux")
    settings = {"data": data, "l2": 7e-4}
    return Comparison(
        settings, ClusterConfig(), over, 4.0, ComparisonFolder(folder), facts, "compare it"
    )


#: What seeds need where the paper's statement about resources holds, and where it does not.
HOLDS: Mapping[str, Sequence[float | None]] = {
    "numpy": (0.5, 0.6, 0.7),
    "downpour": (3.0, None, 3.2),
    "downpour-adagrad": (1.0, 1.1, 1.2),
    "downpour-warm": (1.0, 1.3, 1.2),
    "sandblaster": (None, None, 6.0),
}
FAILS = {**HOLDS, "downpour-adagrad": (4.0, 5.0, 6.0), "sandblaster": (1.0, 2.0, 3.0)}
EVEN = {**HOLDS, "downpour-adagrad": (1.0, 2.0, 3.0), "sandblaster": (2.5, 2.6, 4.0)}
