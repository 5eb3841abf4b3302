"""Precise batch norm: running statistics that are recomputed for given parameters.

Means and variances of batch norm are not trained, so training leaves them as they began;
before parameters are used to predict, the statistics are averaged over training examples with
these very parameters (Wu & Johnson 2021, "Rethinking 'Batch' in BatchNorm", sec. 3;
``torch.optim.swa_utils.update_bn`` does likewise).
"""

from __future__ import annotations

from typing import Protocol, cast

import numpy as np

from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.split.partition import RowList
from distbelief.app.layout.tensors import Vector
from distbelief.app.models.model import Features, Model
from distbelief.app.models.parameters import Source

#: Minibatches over which the statistics are averaged, at most.
MINIBATCHES = 100


class ModelWithStatistics(Model, Protocol):
    """A model with statistics: the last ``n_statistics`` numbers of its flat vector."""

    @property
    def n_statistics(self) -> int: ...

    def statistics(self, parameters: Vector, features: Features) -> Vector:
        """The statistics of these examples alone: shape (n_statistics,)."""
        ...


def recompute_statistics(
    model: Model, dense: Vector, source: Source, dataset: Dataset, train: RowList, batch_size: int
) -> Vector:
    """Replace the statistics in ``dense`` by those of the first ``train`` examples.

    ``dense`` is the flat vector, without the sparse tensors where these are tables; ``source``
    gives the parameters for some examples. A last minibatch that is not full is left out
    unless it is the only one.

    Returns:
        A copy, or ``dense`` itself if the model has no statistics.
    """
    n_statistics = getattr(model, "n_statistics", 0)
    if not n_statistics:
        return dense
    total = np.zeros(n_statistics)
    n_full = max(1, min(MINIBATCHES, len(train) // batch_size))
    for start in range(0, n_full * batch_size, batch_size):
        rows = train[start : start + batch_size]
        cut, parameters, features = source(dataset.features[rows])
        total += cast("ModelWithStatistics", cut).statistics(parameters, features)
    result = dense.copy()
    result[-n_statistics:] = total / n_full
    return result
