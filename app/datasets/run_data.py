"""The data of a run: what it is trained on, and what is held out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distbelief.app.datasets.cache.opening import open_cached
from distbelief.app.datasets.examples.compatibility import Compatibility
from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.reading.digests import joined
from distbelief.app.datasets.reading.reader import Progress
from distbelief.app.datasets.split.partition import ShuffledRows, split
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
        positions = slice(start, min(stop, len(self)))
        rows = positions if self.part is None else self.part[positions]
        return self.dataset.features[rows], self.dataset.targets[rows]


@dataclass(frozen=True, eq=False)
class RunData:
    """Everything that a run reads.

    Attributes:
        dataset: the training data, and the held-out ones too unless they are a file of
            their own.
        train: the rows of ``dataset`` that are trained on.
        heldout: the examples that are not.
        fingerprint: of all files together.
    """

    dataset: Dataset
    train: ShuffledRows
    heldout: Selection
    fingerprint: str


def open_data(config: RunConfig, folder: Path, progress: Progress | None = None) -> RunData:
    """Open the data of a run, through the cache in ``folder``.

    Raises:
        DataError: they are unusable, or the held-out file does not fit the training data.
    """
    dataset = open_cached(config.data, config.data_options, folder, progress=progress)
    if config.holdout_data is None:
        train, heldout = split(dataset.n_examples, config.holdout, config.seed)
        return RunData(dataset, train, Selection(dataset, heldout), dataset.fingerprint)
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
    return RunData(dataset, train, Selection(other), fingerprint)
