"""What ours fall short of, beside the best of their kind; pure functions of the fits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from contest.figures import shown
from untuned.fits import Cell, Fit, Row, rows

#: How far the means may be from those of the best peer.
SCORE_APART, LOSS_RATIO = 0.01, 1.2

#: A run whose score is so much below the best peer's has failed to learn.
FAILED = 0.1


def peers(row: Row, mine: Cell) -> list[Cell]:
    """Those that are not ours and of the same kind, with the same seeds."""
    kind, seeds = mine.fits[0].kind, {each.seed for each in mine.fits}
    theirs = [
        Cell(tuple(fit for fit in each.fits if fit.seed in seeds))
        for each in row.values()
        if not each.fits[0].ours and each.fits[0].kind == kind
    ]
    return [each for each in theirs if each.fits]


def misses(fits: Sequence[Fit], *, scaled: bool) -> Iterator[str]:
    """A sentence on each of ours that is not as good as the best peer of its kind."""
    for problem, row in rows(fits, scaled=scaled).items():
        for name, mine in row.items():
            others = peers(row, mine)
            if mine.fits[0].ours and others:
                yield from (f"{problem}, {name}: {each}" for each in _misses(mine, others))


def silent_failures(mine: Cell, best: float) -> list[Fit]:
    """Those that learned nothing, or much less than the best peer, and did not say so."""
    return [
        each
        for each in mine.fits
        if each.score <= max(each.constant, best - FAILED) and not each.said
    ]


def _misses(mine: Cell, others: Sequence[Cell]) -> Iterator[str]:
    best = max(each.score for each in others)
    if mine.score < best - SCORE_APART:
        yield f"score {shown(mine.score, '.3f')}, the best peer's {shown(best, '.3f')}"
    least = min((each.log_loss for each in others if each.log_loss is not None), default=None)
    if least is not None and mine.log_loss is not None and mine.log_loss > LOSS_RATIO * least:
        yield f"log loss {mine.log_loss:.3f}, the best peer's {least:.3f}"
    if failed := silent_failures(mine, best):
        yield f"{len(failed)} of {len(mine.fits)} failed to learn and did not say so"
