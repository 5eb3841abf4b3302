"""Clicks: a sparse problem of hashed categories, drawn from a seed, whose truth is known.

An example has one value of each of ``fields`` categories; values are popular by a power
law, as words, users and goods are. Each value is hashed into its field's range of features,
so that rare ones share a feature. The log-odds of a click are the sum of the values' weights
and, with a ``rank``, of the products of every two values' factors: pairs of values then
matter beyond their sum, which a linear model cannot know.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distbelief.app.datasets.examples.dataset import Targets
from distbelief.app.datasets.examples.sparse import SparseFeatures

#: Different values of each category, and the exponent of their popularity.
VALUES, EXPONENT = 20_000, 1.5

#: Standard deviation of the log-odds from weights, and from pairs.
LOGIT_SCALE, PAIR_SCALE = 1.5, 1.5


@dataclass(frozen=True, eq=False)
class Clicks:
    """Examples, and the probability of a click that each label was drawn with."""

    features: SparseFeatures
    targets: Targets
    chances: npt.NDArray[np.float64]


def clicks(
    examples: int = 10_000, features: int = 65_536, fields: int = 20, rank: int = 0, seed: int = 0
) -> Clicks:
    """Draw a problem; ``features`` is rounded down to a multiple of ``fields``.

    More examples of the same seed begin with the examples of fewer, about the same truth.
    Raises ValueError for fewer features than fields.
    """
    truth, inputs, errors = np.random.default_rng(seed).spawn(3)
    if features < fields:
        raise ValueError(f"{features} features are less than one for each of {fields} fields")
    weights = truth.standard_normal((fields, VALUES)) * (LOGIT_SCALE / np.sqrt(fields))
    n_pairs = max(1, fields * (fields - 1) / 2)
    scale = (PAIR_SCALE / np.sqrt(n_pairs * max(1, rank))) ** 0.5
    factors = truth.standard_normal((fields, VALUES, rank)) * scale
    buckets = features // fields
    files = truth.integers(0, buckets, (fields, VALUES))
    popularity = np.cumsum(1 / np.arange(1, VALUES + 1) ** EXPONENT)
    values = np.searchsorted(popularity / popularity[-1], inputs.random((examples, fields)))
    of_field = np.arange(fields)
    log_odds = weights[of_field, values].sum(axis=1)
    if rank:
        chosen = factors[of_field, values]
        squares = np.square(chosen).sum(axis=(1, 2))
        log_odds += (np.square(chosen.sum(axis=1)).sum(axis=1) - squares) / 2
    labels = log_odds + errors.logistic(size=examples) > 0
    columns = of_field * buckets + files[of_field, values]
    ones = np.ones(columns.size, np.float32)
    indptr = np.arange(examples + 1, dtype=np.int64) * fields
    matrix = SparseFeatures(indptr, columns.ravel(), ones, buckets * fields)
    return Clicks(matrix, labels.astype(np.int64), 1 / (1 + np.exp(-log_odds)))
