"""What came out of a comparison, in sentences made from its numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from distbelief.app.models.metric import Metric
from distbelief.coordinator.comparison.outcome import Costs, End
from distbelief.coordinator.comparison.summary import Row, Spread, Summary
from distbelief.coordinator.progress.digits import TITLES

#: What the paper says that such a system is for (Dean et al. 2012, sec. 5 and 6).
PAPERS = "Downpour with Adagrad needs fewer resources than Sandblaster L-BFGS"
ROBUST = "Adagrad and a warm start make Downpour robust"

#: The resources of a training, and how each is written.
RESOURCES: dict[str, Callable[[Costs], float]] = {
    "CPU seconds": lambda costs: costs.cpu_s,
    "examples": lambda costs: costs.examples,
    "bytes": lambda costs: costs.bytes,
}


def sentences(summary: Summary) -> list[str]:
    """The outcome, and what becomes of the paper's two statements here: three sentences."""
    return [_outcome(summary), _resources(summary), _robustness(summary)]


def target_text(summary: Summary) -> str:
    """The held-out target in words."""
    metric = summary.targets.metric
    return f"a held-out {TITLES.get(metric, metric.replace('_', ' '))} of {summary.targets.value:g}"


def _outcome(summary: Summary) -> str:
    """Who reached the target with least CPU, and who of the others comes next or never."""
    ranked = sorted(
        (row for row in summary.rows if math.isfinite(_cpu(row).median)),
        key=lambda row: _cpu(row).median,
    )
    if math.isnan(summary.targets.value):
        return "No trial was made that can be judged."
    if not ranked:
        return f"No method reached {target_text(summary)} with half of its seeds."
    first, text = ranked[0], f"To {target_text(summary)}, "
    text += f"{_named(first)} needed least: {seconds(_cpu(first))} of CPU"
    last = ranked[-1]
    if last is not first:
        text += f"; of the others that got there {_named(last)} needed most: {seconds(_cpu(last))}"
    never = [_named(row) for row in summary.rows if not math.isfinite(_cpu(row).median)]
    return text + (f"; never got there: {', '.join(never)}." if never else ".")


def _resources(summary: Summary) -> str:
    """Whether Downpour with Adagrad beats Sandblaster, by each resource; the best row of each."""
    ours, theirs = (_best(summary.of(name)) for name in ("downpour-adagrad", "sandblaster"))
    head = f'The paper\'s "{PAPERS}"'
    if ours is None or theirs is None:
        return f"{head} was not tried here: it takes downpour-adagrad and sandblaster."
    verdicts = {
        name: compared(ours.to_value.spread(of), theirs.to_value.spread(of))
        for name, of in RESOURCES.items()
    }
    if min(ours.seeds, theirs.seeds) < LEAST_SEEDS:
        return f"{head} cannot be judged by one seed: in CPU seconds {_beside(ours, theirs)}."
    found = VERDICTS[verdicts["CPU seconds"]]
    text = f"{head} {found} here to the same accuracy: in CPU seconds {_beside(ours, theirs)}"
    others = [
        f"in {name} {SHORT[verdict]}" for name, verdict in verdicts.items() if name != "CPU seconds"
    ]
    return f"{text}; {', '.join(others)}."


#: One seed has no spread.
LEAST_SEEDS = 2

#: Less, more, or not to be told apart.
VERDICTS = {-1: "holds", 1: "does not hold", 0: "can neither be held nor refuted"}
SHORT = {-1: "it needs less", 1: "it needs more", 0: "they cannot be told apart"}


def compared(ours: Spread, theirs: Spread) -> int:
    """-1 if ours is less, 1 if it is more; 0 where spreads overlap, or neither got there.

    A spread is all seeds: no two of them may stand the other way round.
    """
    if ours.largest < theirs.least:
        return -1
    return 1 if ours.least > theirs.largest else 0


def _beside(ours: Row, theirs: Row) -> str:
    """Both in numbers, with how many of the seeds got there."""
    parts = []
    for name, row in (("Downpour", ours), ("Sandblaster", theirs)):
        got = f"{row.to_value.count} of {row.seeds} seeds"
        parts.append(f"{name} {seconds(_cpu(row))} ({got}, {replicas_text(row)})")
    return " against ".join(parts)


def _robustness(summary: Summary) -> str:
    """How many of the rates, over all numbers of replicas, led to the target."""
    names = ("downpour", "downpour-adagrad", "downpour-warm")
    good = {name: _good_rates(summary, summary.of(name)) for name in names}
    head = f'The paper\'s "{ROBUST}"'
    if not all(tried for _, tried in good.values()):
        return f"{head} was not tried here: it takes several rates, and these three methods."
    fixed, adagrad, warm = (found / tried for found, tried in good.values())
    verdict = "holds" if adagrad > fixed and warm >= adagrad else "does not hold"
    if adagrad == fixed == warm:
        verdict = "cannot be seen"
    texts = [f"{found} of {tried}" for found, tried in good.values()]
    return (
        f"{head} {verdict} here: of the rates that were tried {texts[0]} led to the accuracy with "
        f"a fixed rate, {texts[1]} with Adagrad, {texts[2]} with a warm start as well."
    )


def _good_rates(summary: Summary, rows: Sequence[Row]) -> tuple[int, int]:
    """How many tuning trials reached the target, and how many there were."""
    tried = [outcome for row in rows for outcome in row.tuning]
    good = [each.end is End.ENDED and each.first(summary.targets.good) for each in tried]
    return sum(map(bool, good)), len(tried)


def _best(rows: Sequence[Row]) -> Row | None:
    """The row that needs least CPU to the target; the first if none gets there."""
    return min(rows, key=lambda row: _cpu(row).median, default=None)


def _cpu(row: Row) -> Spread:
    """CPU seconds to the accuracy; those of the clock where workers cannot tell theirs."""
    spread = row.to_value.spread(RESOURCES["CPU seconds"])
    known = not math.isnan(spread.median)
    return spread if known else row.to_value.spread(lambda costs: costs.seconds)


def _named(row: Row) -> str:
    return (
        f"{row.method.title} ({replicas_text(row)})" if row.method.replicated else row.method.title
    )


def replicas_text(row: Row) -> str:
    return f"{row.replicas} replica{'s' if row.replicas > 1 else ''}"


def seconds(spread: Spread) -> str:
    """A median with its spread; the least, where half of the seeds never got there."""
    if math.isinf(spread.median):
        return f"never ({number(spread.least)} s at best)" if spread.least < math.inf else "never"
    return f"{number(spread.median)} s ({number(spread.least)} to {number(spread.largest)})"


def number(value: float) -> str:
    """Three digits, as people write them."""
    if math.isnan(value):
        return "unknown"
    if math.isinf(value):
        return "never"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def metric_name(metric: Metric) -> str:
    return TITLES.get(metric, metric.replace("_", " "))
