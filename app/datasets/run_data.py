"""The data of a run: what is trained on, and what is held out."""

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

#: Options that say which column is what: of another file its names say it.
OF_COLUMNS = ("target", "ignore", "categorical")


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
        fits: what the training data had to fit: the model that the run goes on from.
    """

    dataset: Dataset
    train: ShuffledRows
    heldout: Selection
    fingerprint: str
    fits: Compatibility | None = None

    def to_remember(self) -> dict[str, Any]:
        """What a model must remember of its data, as JSON: columns, reading, which files."""
        facts = self.dataset.facts
        return {
            "reading": dict(facts.reading),
            "features": list(facts.names),
            "all_columns": list(facts.all_names),
            "fingerprint": self.dataset.fingerprint,
            "heldout_fingerprint": self.heldout.dataset.fingerprint,
        }


def compatibility_of(dataset: Dataset, name: str) -> Compatibility:
    """What other data must be to go with ``dataset``, which messages call ``name``."""
    facts = dataset.facts
    return Compatibility(dataset.schema, name, facts.reading, facts.names, facts.all_names)


def open_data(
    config: RunConfig,
    folder: Path,
    progress: Progress | None = None,
    fits: Compatibility | None = None,
) -> RunData:
    """Open the data of a run, through the cache in ``folder``.

    ``fits`` is what the training data must fit.

    Raises:
        DataError: they are unusable, or the held-out file does not fit the training data.
    """
    dataset = open_cached(
        config.data, config.data_options, folder, compatibility=fits, progress=progress
    )
    if config.holdout_data is None:
        train, heldout = split(dataset.n_examples, config.holdout, config.seed)
        return RunData(dataset, train, Selection(dataset, heldout), dataset.fingerprint, fits)
    known = compatibility_of(dataset, "the training data")
    by_name = OF_COLUMNS if known.features else ()
    options = {
        key: value
        for key, value in config.data_options.items()
        if key not in by_name or (key == "target" and known.target is None)
    }
    other = open_cached(
        config.holdout_data, options, folder, compatibility=known, progress=progress
    )
    train, _ = split(dataset.n_examples, 0, config.seed)
    fingerprint = joined([dataset.fingerprint, other.fingerprint])
    return RunData(dataset, train, Selection(other), fingerprint, fits)
