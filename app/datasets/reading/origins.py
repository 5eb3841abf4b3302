"""Where float32 cannot hold a column: numbers that are large, and differ by little.

The steps of float32 at 1.7e12, about today in milliseconds since 1970, are two minutes wide. So
an origin is subtracted from such a column before it is rounded.
"""

from __future__ import annotations

import numpy as np

from distbelief.app.datasets.examples.chunks import Numbers
from distbelief.app.datasets.examples.statistics import Statistics
from distbelief.app.datasets.reading.column_plan import ColumnPlan

#: Rounding that changes numbers by more than this share of their spread destroys something.
FINEST = 2.0**-10

_WHOLE = 2.0**20  # larger origins are whole numbers, so that whole numbers stay whole


def origins(plan: ColumnPlan, found: Numbers, statistics: Statistics) -> dict[int, float]:
    """New origins, by column, for those that rounding has damaged."""
    n = len(plan.dense)
    spread, mean = statistics.spread[:n], statistics.mean[:n]
    differing = np.maximum(found.raised - found.lowered, 0)  # infinities where nothing is
    damaged = (differing > FINEST * spread) & (plan.origins == 0) & (mean != 0)
    return {plan.dense[place]: origin_near(float(mean[place])) for place in np.flatnonzero(damaged)}


def origin_near(mean: float) -> float:
    """What to subtract from numbers around a mean."""
    return float(round(mean)) if abs(mean) > _WHOLE else mean
