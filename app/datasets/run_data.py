"""The data of a run: what is trained on, what is held out, and what it is tested on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from distbelief.app.datasets.cache.opening import open_cached
from distbelief.app.datasets.cache.parts import listed
from distbelief.app.datasets.examples.compatibility import Compatibility
from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.examples.weights import (
    ScaledWeights,
    Weights,
    class_factors,
    mean_weight,
    sums_by_class,
)
from distbelief.app.datasets.reading.apart import HOLDOUT, SPLIT
from distbelief.app.datasets.reading.digests import joined
from distbelief.app.datasets.reading.reader import Progress
from distbelief.app.datasets.reading.weights import WEIGHT
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
from distbelief.app.datasets.split.partition import RowList, RowPart, Rows, in_file_order
from distbelief.app.errors import DataError
from distbelief.app.settings.config import RunConfig
from distbelief.app.settings.data import RANDOM, STRATIFIED
from distbelief.app.settings.sections import Scalar

#: Options that say which column is what: of another file its names say it.
OF_COLUMNS = ("target", "ignore", "categorical", "numeric", "dates", "keep")


NOTHING_READY: Mapping[str, Dataset] = {}


@dataclass(frozen=True, eq=False)
class Selection:
    """Some examples of a data set: those of ``part``, or without it all in their order."""

    dataset: Dataset
    part: RowList | None = None

    def __len__(self) -> int:
        return self.dataset.n_examples if self.part is None else len(self.part)

    def between(self, start: int, stop: int) -> tuple[Any, Any]:
        """Features and targets of the examples ``start`` to ``stop``, counted from 0."""
        rows = self._rows(start, stop)
        return self.dataset.features[rows], self.dataset.targets[rows]

    def at(self, positions: Rows) -> tuple[Any, Any, Any]:
        """Features, targets and weights (or None) of the examples at some positions."""
        rows = positions if self.part is None else self.part[positions]
        found, weights = self.dataset, self.dataset.weights
        return found.features[rows], found.targets[rows], None if weights is None else weights[rows]

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
        dataset: the training data, and those of the other parts too unless they are files of
            their own.
        train: the rows of ``dataset`` that are trained on.
        heldout: the examples by which the best model is chosen.
        test: the examples that are scored once, at the end.
        fingerprint: of all files together.
        fits: what the training data had to fit: the model that the run goes on from.
        total_weight: of the training examples, as it was given; their number without weights.
            In ``dataset`` the weights have mean 1 over the training examples.
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

    total_weight: float = 0.0


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
    ready: Mapping[str, Dataset] = NOTHING_READY,
) -> RunData:
    """Open the data of a run, through the cache in ``folder``.

    ``fits`` is what the training data must fit. Those that are ``ready``, by the names of their
    settings, were opened and made to fit elsewhere.

    Raises:
        DataError: they are unusable, or files of held-out data do not fit the training data.
    """
    if "data" in ready:
        dataset = ready["data"]
    else:
        options = training_options(config)
        dataset = open_cached(config.data, options, folder, compatibility=fits, progress=progress)
    parts = divide(dataset, config)
    factors = _class_factors(dataset, parts.train, config.class_weight)
    dataset, total = _weighed(dataset, parts.train, factors)
    heldout, test = Selection(dataset, parts.heldout), Selection(dataset, parts.test)
    fingerprints = [dataset.fingerprint]
    known = compatibility_of(dataset, "the training data")
    by_name = OF_COLUMNS if known.features else ()
    others = {
        key: value
        for key, value in config.data_options.items()
        if key not in by_name or (key == "target" and known.target is None)
    }
    others.pop(WEIGHT, None)  # which the training data say, too: other files need not have it

    def beside(name: str, source: str) -> Selection:
        other = ready.get(name) or open_cached(
            source, others, folder, compatibility=known, progress=progress
        )
        fingerprints.append(other.fingerprint)
        everything = at_random(Shares(other.n_examples, 0.0, 0.0), config.seed).train
        return Selection(_weighed(other, everything, factors)[0])

    if config.holdout_data is not None:
        heldout = beside("holdout_data", config.holdout_data)
    if config.test_data is not None:
        test = beside("test_data", config.test_data)
    _check_weights(heldout, "held out")
    _check_weights(test, "of the test")
    return RunData(dataset, parts.train, heldout, test, joined(fingerprints), fits, total)


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
            "leave it out, or say with the option task=classification that they are classes"
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


def _class_factors(dataset: Dataset, train: RowPart, wanted: str | None) -> Any:
    """The weight of each class by what is trained on; None without the setting class_weight."""
    if wanted is None:
        return None
    if not dataset.n_classes:
        raise DataError(f"{dataset.name}: class_weight is for classes, the targets are numbers")
    sums = np.zeros(dataset.n_classes)
    for rows in in_file_order(train):
        given = None if dataset.weights is None else dataset.weights[rows]
        sums += sums_by_class(dataset.targets[rows], given, dataset.n_classes)
    return class_factors(wanted, dataset.schema.names, sums, dataset.name)


def _weighed(dataset: Dataset, train: RowPart, factors: Any) -> tuple[Dataset, float]:
    """The data with weights of mean 1 over the training examples, and what these were in all."""
    if dataset.weights is None and factors is None:
        return dataset, float(len(train))
    weights = ScaledWeights(dataset.targets, dataset.weights, factors)
    mean = mean_weight(weights, in_file_order(train))
    return replace(dataset, weights=replace(weights, divisor=mean)), mean * len(train)


def _check_weights(examples: Selection, which: str) -> None:
    """Raise DataError if all of some examples have the weight 0: they would have no score."""
    starts = range(0, len(examples) if examples.dataset.weights is not None else 0, CHUNK)
    if starts and not any(np.any(examples.weights(i, i + CHUNK)) for i in starts):
        raise DataError(f"{examples.dataset.name}: the weights of all examples {which} are 0")
