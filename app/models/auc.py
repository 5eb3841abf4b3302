"""The area under the ROC curve: exactly from all scores, or from a histogram of them.

It is the share of the pairs of a positive and a negative example in which the positive one
has the higher score, ties counted half (the Mann-Whitney statistic; Fawcett 2006, sec. 7). Where
examples have weights, a pair counts the product of both: as often as if each were repeated.
A sum over pairs is no sum over examples: parts of a data set have to be brought together,
either all of their scores or how many of them fall into each bin.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from distbelief.app.layout.tensors import Vector
from distbelief.app.models.model import Targets, Task, Weights
from distbelief.app.models.predictions import of_positive

#: More examples than that are counted in bins: their scores would be a burden on the
#: control server (9 bytes each, at most, and 4 for a weight).
MOST_RANKED = 2_000_000

#: Bins of equal width in log-odds; the outermost hold what lies beyond.
BINS = 1024
WIDEST = 16.0

#: (negatives, positives), each with a count for every bin, or a sum of weights.
Histogram = tuple[tuple[float, ...], ...]

#: How many scores a part has, their bytes each, and whether they have weights.
HEAD = struct.Struct("<IB?")


class AucBy(StrEnum):
    """How a data set's AUC is found."""

    NONE = "none"
    RANKS = "ranks"
    HISTOGRAM = "histogram"

    @classmethod
    def of(cls, task: Task, n_examples: int) -> AucBy:
        """By the task that predictions are judged by, see ``criterion``."""
        if task is not Task.BINARY:
            return cls.NONE
        return cls.RANKS if n_examples <= MOST_RANKED else cls.HISTOGRAM


@dataclass
class Ranks:
    """Scores and labels of examples of two classes, gathered in any number of parts.

    Either all parts have weights, or none.
    """

    _scores: list[Vector] = field(default_factory=list)
    _positive: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    _weights: list[npt.NDArray[np.float32]] = field(default_factory=list)

    def add(self, scores: Vector, labels: Targets, weights: Weights = None) -> None:
        """Take predictions for two classes, see ``predictions``, and labels 0 and 1, shape (n,)."""
        self._scores.append(of_positive(scores))
        self._positive.append(labels == 1)
        if weights is not None:
            self._weights.append(weights.astype(np.float32, copy=False))

    def auc(self) -> float | None:
        """The exact value; None if a class is missing, or a score is NaN."""
        if not self._scores:
            return None
        scores, positive = np.concatenate(self._scores), np.concatenate(self._positive)
        if self._weights:
            return _weighted_auc(scores, positive, np.concatenate(self._weights))
        ours, theirs = scores[positive], np.sort(scores[~positive])
        if not len(ours) or not len(theirs) or np.isnan(scores).any():
            return None
        # Twice the pairs won: whole numbers, so nothing is rounded before the division.
        won = sum(int(np.searchsorted(theirs, ours, side).sum()) for side in ("left", "right"))
        return won / (2 * len(ours) * len(theirs))

    def pack(self) -> bytes:
        """All that was gathered: floats as wide as they came, weights, and a bit for each label."""
        scores = np.concatenate(self._scores)
        if scores.dtype != np.float32:
            scores = scores.astype(np.float64, copy=False)
        head = HEAD.pack(len(scores), scores.dtype.itemsize, bool(self._weights))
        little = scores.astype(scores.dtype.newbyteorder("<"), copy=False)
        weights = b"".join(part.astype("<f4", copy=False).tobytes() for part in self._weights)
        bits = np.packbits(np.concatenate(self._positive)).tobytes()
        return head + little.tobytes() + weights + bits

    @classmethod
    def unpack(cls, parts: Iterable[bytes]) -> Ranks:
        """Bring packed parts together."""
        joined = cls()
        for part in parts:
            count, width, weighted = HEAD.unpack_from(part)
            middle = HEAD.size + count * width
            end = middle + 4 * count * weighted
            scores = np.frombuffer(part[HEAD.size : middle], f"<f{width}").astype(f"f{width}")
            weights = np.frombuffer(part[middle:end], "<f4").astype(np.float32)
            bits = np.frombuffer(part, np.uint8, offset=end)
            labels = np.unpackbits(bits, count=count)
            joined.add(scores, labels, weights if weighted else None)
        return joined


def _weighted_auc(
    scores: Vector, positive: npt.NDArray[np.bool_], weights: npt.NDArray[np.float32]
) -> float | None:
    """As :meth:`Ranks.auc`; examples of weight 0 are not there."""
    there = weights > 0
    scores, positive, weights = scores[there], positive[there], weights[there]
    wide = weights.astype(np.float64)
    ours, theirs = scores[positive], scores[~positive]
    if not len(ours) or not len(theirs) or np.isnan(scores).any():
        return None
    order = np.argsort(theirs, kind="stable")
    below = np.append(0.0, np.cumsum(wide[~positive][order]))  # the weight before each position
    theirs = theirs[order]
    sides = (below[np.searchsorted(theirs, ours, side)] for side in ("left", "right"))
    won = sum(float(wide[positive] @ side) for side in sides)
    return won / (2 * float(wide[positive].sum()) * float(below[-1]))


def binned(scores: Vector, labels: Targets, weights: Weights = None) -> Histogram:
    """Count probabilities of class 1, shape (n,), in bins of their log-odds, by label.

    Where there are weights, these are summed up. NaN has no bin.
    """
    known = ~np.isnan(scores)
    with np.errstate(divide="ignore", invalid="ignore"):
        chances = scores[known].astype(np.float64)
        log_odds = np.log(chances) - np.log1p(-chances)
    bins = np.clip((log_odds + WIDEST) / (2 * WIDEST) * BINS, 0, BINS - 1).astype(np.int64)
    positive = labels[known] == 1
    counted = None if weights is None else weights[known]
    sides = (
        np.bincount(bins[side], None if counted is None else counted[side], minlength=BINS)
        for side in (~positive, positive)
    )
    return tuple(tuple(side.tolist()) for side in sides)


def histogram_auc(histogram: Histogram) -> float | None:
    """AUC with all scores of a bin taken for equal; None if a class is missing.

    It is off by at most half the share of pairs that meet in a bin.
    """
    negatives, positives = histogram
    below: float = 0
    won: float = 0
    for theirs, ours in zip(negatives, positives, strict=True):
        won += ours * (2 * below + theirs)
        below += theirs
    pairs = below * sum(positives)
    return won / (2 * pairs) if pairs else None
