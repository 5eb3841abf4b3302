"""The examples of one learning problem: features and targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from distbelief.app.datasets.examples.checks import (
    check_features,
    check_finite,
    check_labels,
    check_targets,
)
from distbelief.app.datasets.examples.column import Column
from distbelief.app.datasets.examples.faults import Fault
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.datasets.examples.statistics import Statistics
from distbelief.app.datasets.examples.target_facts import TargetFacts
from distbelief.app.errors import DataError
from distbelief.app.settings.sections import Scalar

Features = npt.NDArray[np.float32]
Targets = npt.NDArray[np.int64] | npt.NDArray[np.float32]


@dataclass(frozen=True)
class Facts:
    """Where a data set comes from.

    Attributes:
        names: the user's columns that became features, the dense ones first, if they have
            names.
        skipped: lines of its files that could not be used and were tolerated.
        reading: options with which other files give the same features.
        cached_bytes: what it takes on disk.
        target: how its targets were found.
        all_names: all the user's columns, in the order of the file, if they have names.
        statistics: of the leading features, those that are numbers; None where there are none.
        columns: all columns of a table, in the order of the file; empty where it is none, or an
            array without anything that has to be remembered of a column.
    """

    names: tuple[str, ...] = ()
    skipped: tuple[Fault, ...] = ()
    reading: Mapping[str, Scalar] = field(default_factory=dict)
    cached_bytes: int = 0
    target: TargetFacts = field(default_factory=TargetFacts)
    all_names: tuple[str, ...] = ()
    statistics: Statistics | None = None
    columns: tuple[Column, ...] = ()


@dataclass(frozen=True, eq=False)
class Dataset:
    """Features and targets; either may be a read-only memory map, or be read in place
    (:class:`distbelief.app.datasets.examples.mapped.FileArray`).

    Attributes:
        features: float32, shape (n_examples, n_features), C-contiguous; or
            :class:`distbelief.app.datasets.examples.sparse.SparseFeatures`.
        targets: shape (n_examples,); int64 labels 0 to ``n_classes - 1`` for
            classification, float32 values for regression.
        schema: what the examples look like.
        name: the source as the user wrote it; error messages begin with it.
        fingerprint: hexadecimal digest of the content; machines whose fingerprints
            differ would train on different data.
        facts: where it comes from.
        apart: float64, shape (n_examples,): what a column says that is no feature, by which
            examples are divided; None without one.
        folder: where it lies, if it does.
        weights: float32, shape (n_examples,), not negative and not all 0, or
            :class:`distbelief.app.datasets.examples.weights.ScaledWeights`; None where all
            examples count the same.
        in_use: keeps ``folder`` from being removed as long as this or a copy with other arrays
            lives; None where nothing does.
    """

    features: Any
    targets: Targets
    schema: Schema
    name: str
    fingerprint: str
    facts: Facts = Facts()
    apart: Any = None
    folder: Path | None = None
    weights: Any = None
    in_use: object = None

    @property
    def n_examples(self) -> int:
        return int(self.features.shape[0])

    @property
    def entries_per_example(self) -> float:
        """How many features of an example are stored, on average."""
        if not self.schema.sparse:
            return float(self.n_features)
        return len(self.features.values) / max(1, self.n_examples)

    @property
    def n_features(self) -> int:
        return self.schema.n_features

    @property
    def n_classes(self) -> int:
        return self.schema.n_classes

    def validate(self) -> None:
        """Read everything once, in chunks of rows, and find what no model could train on.

        Sparse features are made by ourselves or have been checked as they were read.

        Raises:
            DataError: one sentence with the source, the thing, and what is allowed.
        """
        dense = not self.schema.sparse
        if dense:
            check_features(self.features, self.name)
        check_targets(self.targets, self.n_examples, self.name)
        self._check_storage()
        if dense:
            check_finite(self.features, "features", self.name)
        check_finite(self.targets, "targets", self.name)
        if self.n_classes:
            check_labels(self.targets, self.n_classes, self.name)

    def _check_storage(self) -> None:
        if self.n_classes < 0:
            raise DataError(
                f"{self.name}: n_classes must be 0 (regression) or positive, got {self.n_classes}"
            )
        dense = not self.schema.sparse
        if dense and not (self.features.dtype == np.float32 and self.features.flags.c_contiguous):
            raise DataError(
                f"{self.name}: features must be C-contiguous float32, got {self.features.dtype} "
                f"with strides {self.features.strides}"
            )
        kind, expected = ("labels", np.int64) if self.n_classes else ("targets", np.float32)
        if self.targets.dtype != expected:
            raise DataError(
                f"{self.name}: {kind} must be {expected.__name__}, got {self.targets.dtype}"
            )
