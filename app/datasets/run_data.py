"""The data of a run: what is trained on, what is held out, and what it is tested on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distbelief.app.datasets.cache.opening import open_cached
from distbelief.app.datasets.cache.parts import listed
from distbelief.app.datasets.examples.compatibility import Compatibility
from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.reading.apart import HOLDOUT, SPLIT
from distbelief.app.datasets.reading.digests import joined
from distbelief.app.datasets.reading.reader import Progress
from distbelief.app.datasets.sources.source import Stream, parse
from distbelief.app.datasets.split.division import (
    CHUNK,
    HELDOUT,
    TEST,
    Division,
    Parts,
    Shares,
    at_random,
    by_class,
    by_order,
)
from distbelief.app.datasets.split.partition import RowPart
from distbelief.app.errors import DataError
from distbelief.app.settings.config import RunConfig
from distbelief.app.settings.data import RANDOM, STRATIFIED
from distbelief.app.settings.sections import Scalar

#: Options that say which column is what: of another file its names say it.
OF_COLUMNS = ("target", "ignore", "categorical", "dates", "keep")


@dataclass(frozen=True, eq=False)
class Selection:
    """Some examples of a data set: those of ``part``, or without it all in their order."""

    dataset: Dataset
    part: RowPart | None = None

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
        dataset: the training data, and those of the other parts too unless they are files of
            their own.
        train: the rows of ``dataset`` that are trained on.
        heldout: the examples by which the best model is chosen.
        test: the examples that are scored once, at the end.
        fingerprint: of all files together.
        fits: what the training data had to fit: the model that the run goes on from.
    """

    dataset: Dataset
    train: RowPart
    heldout: Selection
    test: Selection
    fingerprint: str
    fits: Compatibility | None = None

    def to_remember(self) -> dict[str, Any]:
        """What a model must remember of its data, as JSON: columns, reading, which files."""
        facts = self.dataset.facts
        return {
            "reading": dict(facts.reading),
            "features": list(facts.names),
            "all_columns": list(facts.all_names),
            "columns": [column.to_json() for column in facts.columns],
            "fingerprint": self.dataset.fingerprint,
            "heldout_fingerprint": self.heldout.dataset.fingerprint,
            "test_fingerprint": self.test.dataset.fingerprint,
        }


def compatibility_of(dataset: Dataset, name: str) -> Compatibility:
    """What other data must be to go with ``dataset``, which messages call ``name``."""
    facts = dataset.facts
    return Compatibility(
        dataset.schema, name, facts.reading, facts.names, facts.all_names, facts.columns
    )


def open_data(
    config: RunConfig,
    folder: Path,
    progress: Progress | None = None,
    fits: Compatibility | None = None,
) -> RunData:
    """Open the data of a run, through the cache in ``folder``.

    ``fits`` is what the training data must fit.

    Raises:
        DataError: they are unusable, or files of held-out data do not fit the training data.
    """
    options = training_options(config)
    dataset = open_cached(config.data, options, folder, compatibility=fits, progress=progress)
    parts = divide(dataset, config)
    heldout, test = Selection(dataset, parts.heldout), Selection(dataset, parts.test)
    fingerprints = [dataset.fingerprint]
    known = compatibility_of(dataset, "the training data")
    by_name = OF_COLUMNS if known.features else ()
    others = {
        key: value
        for key, value in config.data_options.items()
        if key not in by_name or (key == "target" and known.target is None)
    }

    def beside(source: str) -> Selection:
        other = open_cached(source, others, folder, compatibility=known, progress=progress)
        fingerprints.append(other.fingerprint)
        return Selection(other)

    if config.holdout_data is not None:
        heldout = beside(config.holdout_data)
    if config.test_data is not None:
        test = beside(config.test_data)
    return RunData(dataset, parts.train, heldout, test, joined(fingerprints), fits)


def training_options(config: RunConfig) -> dict[str, Scalar]:
    """The options of the training data: those of the user, and the column that divides them.

    Raises:
        DataError: there should be such a column, and the data have none.
    """
    named = {}
    if isinstance(config.holdout, str):
        named[HOLDOUT] = config.holdout
    if config.split not in (RANDOM, STRATIFIED):
        named[SPLIT] = config.split
    if named and not isinstance(parse(config.data), Stream):
        raise DataError(
            f"{config.data}: {' and '.join(f'{key}={value}' for key, value in named.items())} "
            "names a column, which only CSV and Parquet files have"
        )
    return {**config.data_options, **named}


def divide(dataset: Dataset, config: RunConfig) -> Division:
    """Divide training data as a run does: a function of them, the settings and the seed.

    Raises:
        DataError: a part would be empty, or the data are not what the settings need.
    """
    if isinstance(config.holdout, str):
        return _checked(listed(dataset, f"holdout/{config.seed}", lambda: _said(dataset)), config)
    holdout = config.holdout if config.holdout_data is None else 0.0
    test = config.test if config.test_data is None else 0.0
    shares = Shares(dataset.n_examples, holdout, test)
    key = f"{holdout}/{test}/{config.seed}"
    if config.split == RANDOM:
        return at_random(shares, config.seed)
    if config.split != STRATIFIED:
        return listed(dataset, f"order/{key}", lambda: by_order(dataset.apart, shares))
    if not dataset.n_classes:
        raise DataError(
            f"{dataset.name}: split {STRATIFIED} is for classes, and the targets are numbers: "
            "leave it out, or say task=classification"
        )
    return _checked(
        listed(
            dataset,
            f"stratified/{key}",
            lambda: by_class(dataset.targets, dataset.n_classes, shares, config.seed),
        ),
        config,
    )


def _said(dataset: Dataset) -> Parts:
    """Parts as a column says them; without held-out data those of the test are held out."""
    parts = np.empty(dataset.n_examples, np.uint8)
    for start in range(0, dataset.n_examples, CHUNK):
        parts[start : start + CHUNK] = dataset.apart[start : start + CHUNK]
    if not (parts == HELDOUT).any():
        parts[parts == TEST] = HELDOUT
    return parts


def _checked(parts: Division, config: RunConfig) -> Division:
    for name, part in (("to train on", parts.train), ("held out", parts.heldout)):
        wanted = config.holdout if name == "held out" else True
        if wanted and not len(part) and config.holdout_data is None:
            raise DataError(f"{config.data}: holdout={config.holdout} leaves no examples {name}")
    return parts
