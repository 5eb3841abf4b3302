"""Medians of numbers whose examples have weights: what may stand for those that are missing.

They are what they would be if each example were there as often as its weight says.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def middle(weights: Array, half: float, side: Any) -> int:
    """The position of the median among weights in ascending order of what they belong to.

    Of an even number, and where weights end at one half, ``left`` and ``right`` are different: the
    median is the mean of both.
    """
    found = int(np.searchsorted(np.cumsum(weights), half, side))
    return min(found, int(np.flatnonzero(weights)[-1]))  # rounded sums may end below


def weighted_median(values: Array, weights: Array | None) -> float:
    """The median of numbers of which none is missing; 0 if nothing has a weight."""
    if weights is None:
        return float(np.median(values)) if len(values) else 0.0
    if not weights.any():
        return 0.0
    order = np.argsort(values, kind="stable")
    sorted_weights = weights[order].astype(np.float64)
    half = float(np.cumsum(sorted_weights)[-1]) / 2
    both = [values[order[middle(sorted_weights, half, side)]] for side in ("left", "right")]
    return float(np.mean(both, dtype=np.float64))
