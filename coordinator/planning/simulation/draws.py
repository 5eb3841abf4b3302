"""Random draws from samples: the same for the same seed, and cheap one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

#: Numbers that are drawn at a time.
AT_A_TIME = 32


def drawn(
    rng: np.random.Generator, samples: Sequence[float], factor: float = 1.0
) -> Iterator[float]:
    """Samples times ``factor``, drawn with replacement, without end."""
    values = np.asarray(samples, np.float64) * factor
    while True:
        yield from rng.choice(values, AT_A_TIME).tolist()
