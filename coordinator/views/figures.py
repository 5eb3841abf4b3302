"""The figures of a snapshot in words: a line for logs, and for ``status``."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from datetime import timedelta

from distbelief.coordinator.progress.network import network_text
from distbelief.coordinator.views.snapshot import DownpourPart, ProgressSnapshot, SandblasterPart


def figures(snapshot: ProgressSnapshot, *, log: bool = False) -> Iterator[tuple[str, str]]:
    """Everything that a snapshot has to show, as (name, text); a log has no room for all."""
    if snapshot.downpour is not None:
        yield from _downpour(snapshot, snapshot.downpour)
        if (text := network(snapshot.downpour)) and not log:
            yield "network", text
        yield "left", duration(snapshot.left_s)
    elif snapshot.sandblaster is not None:
        yield from _sandblaster(snapshot, snapshot.sandblaster)


def _downpour(snapshot: ProgressSnapshot, part: DownpourPart) -> Iterator[tuple[str, str]]:
    yield "pass", f"{snapshot.done:.1f}/{snapshot.total}"
    yield "steps/s", f"{snapshot.speed.steps:,.0f}"
    yield "loss", number(snapshot.loss)
    if snapshot.heldout is not None:
        yield "held-out", snapshot.heldout.text
    yield "updates", counts(part)
    if part.refused:
        yield "refused", str(part.refused)
    yield "staleness", f"median {part.staleness_median}, worst {part.staleness_worst}"
    if part.waited_s:
        yield "waited", f"{part.waited_s:.1f} s for slower replicas"
    if part.goodput is not None:
        yield "goodput", f"{part.goodput:.0%}"
    if part.resent:
        yield "sent again", str(part.resent)
    if snapshot.waiting:
        yield "waiting", snapshot.waiting


def _sandblaster(snapshot: ProgressSnapshot, part: SandblasterPart) -> Iterator[tuple[str, str]]:
    yield "iteration", f"{snapshot.done:.0f}/{snapshot.total}"
    yield "loss", number(snapshot.loss)
    yield "gradient", number(part.gradient_norm)
    yield "step", f"{part.step:.3g}"
    if part.nonzeros is not None:
        yield "non-zero weights", f"{part.nonzeros:,} of {part.weights:,}"
    yield "evaluations", str(part.evaluations)
    if snapshot.heldout is not None:
        yield "held-out", snapshot.heldout.text
    yield (
        "portions",
        f"{part.portions_done}/{part.portions} done, {part.portions_out} outstanding, "
        f"{part.portions_per_second:.0f}/s",
    )
    yield "backups", f"{part.backups_sent} sent, {part.backups_won} won"
    if part.retries:
        yield "retries", str(part.retries)
    if snapshot.waiting:
        yield "waiting", snapshot.waiting


def network(part: DownpourPart) -> str:
    """What it uses of the network; empty if not known."""
    return network_text(part.bytes_a_step, part.network_share)


def number(value: float | None) -> str:
    """Four digits, or a dash for what is not known."""
    return "-" if value is None else f"{value:.4g}"


def duration(seconds: float | None) -> str:
    """Hours, minutes and seconds."""
    return "?" if seconds is None else str(timedelta(seconds=round(seconds)))


def counts(part: DownpourPart) -> str:
    """Each shard's count while they fit, else the range."""
    if part.shards > len(part.applied):
        return f"{part.applied[0]} to {part.applied[1]} on {part.shards} shards"
    return "/".join(map(str, part.applied)) or "-"


_BARS = "▁▂▃▄▅▆▇█"
_PLAIN_BARS = "_.-=+*%#"


def sparkline(points: Sequence[float], width: int, *, plain: bool = False) -> str:
    """Points as bars, in ``width`` characters at most; '' below 2 points.

    The tenth of the points that is highest is cut off, and the lowest: else the first loss,
    far above all others, would make a flat line of the rest.
    """
    bars = _PLAIN_BARS if plain else _BARS
    if len(points) < 2 or width < 1:
        return ""
    if len(points) > width:
        cuts = [index * len(points) // width for index in range(width + 1)]
        parts = [points[a:b] for a, b in itertools.pairwise(cuts)]
        points = [sum(part) / len(part) for part in parts]
    ordered, cut = sorted(points), len(points) // 10
    low, high = ordered[cut], ordered[-1 - cut]
    if low == high:
        low, high = ordered[0], ordered[-1]
    if low == high:
        return bars[len(bars) // 2 - 1] * len(points)
    scale = (len(bars) - 1) / (high - low)
    heights = (round((min(max(point, low), high) - low) * scale) for point in points)
    return "".join(bars[height] for height in heights)
