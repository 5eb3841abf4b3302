"""The data of a run: what it is trained on, and what is held out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from distbelief.app.datasets.cache.opening import open_cached
from distbelief.app.datasets.examples.compatibility import Compatibility
from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.examples.weights import (
    Weights,
    class_factors,
    mean_weight,
    sums_by_class,
)
from distbelief.app.datasets.reading.digests import joined
from distbelief.app.datasets.reading.reader import Progress
from distbelief.app.datasets.split.partition import ShuffledRows, in_file_order, split
from distbelief.app.errors import DataError
from distbelief.app.settings.config import RunConfig


@dataclass(frozen=True, eq=False)
class Selection:
    """Some examples of a data set: those of ``part``, or without it all in their order."""

    dataset: Dataset
    part: ShuffledRows | None = None

    def __len__(self) -> int:
        return self.dataset.n_examples if self.part is None else len(self.part)

    def between(self, start: int, stop: int) -> tuple[Any, Any]:
        """Features and targets of the examples ``start`` to ``stop``, counted from 0."""
        rows = self._rows(start, stop)
        return self.dataset.features[rows], self.dataset.targets[rows]

    def weights(self, start: int, stop: int) -> Weights | None:
        """The weights of these examples, if they have any."""
        found = self.dataset.weights
        return None if found is None else found[self._rows(start, stop)]

    def _rows(self, start: int, stop: int) -> Any:
        positions = slice(start, min(stop, len(self)))
        return positions if self.part is None else self.part[positions]


@dataclass(frozen=True, eq=False)
class RunData:
    """Everything that a run reads.

    Attributes:
        dataset: the training data, and the held-out ones too unless they are a file of
            their own.
        train: the rows of ``dataset`` that are trained on.
        heldout: the examples that are not.
        fingerprint: of all files together.
        total_weight: of the training examples, as it was given; their number without weights.
            In ``dataset`` the weights have mean 1 over the training examples.
    """

    dataset: Dataset
    train: ShuffledRows
    heldout: Selection
    fingerprint: str
    total_weight: float = 0.0


def open_data(config: RunConfig, folder: Path, progress: Progress | None = None) -> RunData:
    """Open the data of a run, through the cache in ``folder``.

    Raises:
        DataError: they are unusable, or the held-out file does not fit the training data.
    """
    dataset = open_cached(config.data, config.data_options, folder, progress=progress)
    if config.holdout_data is None:
        train, heldout = split(dataset.n_examples, config.holdout, config.seed)
        dataset, total = _weighed(dataset, train, config.class_weight)
        return RunData(dataset, train, Selection(dataset, heldout), dataset.fingerprint, total)
    compatibility = Compatibility(dataset.schema, "the training data", dataset.facts.reading)
    other = open_cached(
        config.holdout_data,
        config.data_options,
        folder,
        compatibility=compatibility,
        progress=progress,
    )
    train, _ = split(dataset.n_examples, 0, config.seed)
    fingerprint = joined([dataset.fingerprint, other.fingerprint])
    dataset, total = _weighed(dataset, train, config.class_weight)
    other, _ = _weighed(other, split(other.n_examples, 0, config.seed)[0], None)
    return RunData(dataset, train, Selection(other), fingerprint, total)


def _weighed(
    dataset: Dataset, train: ShuffledRows, class_weight: str | None
) -> tuple[Dataset, float]:
    """The data with weights of mean 1 over the training examples, and what these were in all."""
    if dataset.weights is None and class_weight is None:
        return dataset, float(len(train))
    given = dataset.weights
    weights = np.ones(dataset.n_examples) if given is None else given.astype(np.float64)
    if class_weight is not None:
        if not dataset.n_classes:
            raise DataError(f"{dataset.name}: class_weight is for classes, the targets are numbers")
        sums = np.zeros(dataset.n_classes)
        for rows in in_file_order(train):
            sums += sums_by_class(dataset.targets[rows], weights[rows], dataset.n_classes)
        factors = class_factors(class_weight, dataset.schema.names, sums, dataset.name)
        weights *= factors[dataset.targets[:]]
    mean = mean_weight(weights, in_file_order(train))
    scaled = (weights / mean).astype(np.float32)
    return replace(dataset, weights=scaled), mean * len(train)
