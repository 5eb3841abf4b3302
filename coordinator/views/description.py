"""The contents of a data file, for whoever wants to know before training on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from distbelief.app.datasets.cache.opening import default_cache_folder, open_cached
from distbelief.app.datasets.examples.column import remarks
from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.examples.schema import Label
from distbelief.app.datasets.reading.reader import Progress
from distbelief.app.settings.sections import Scalar
from distbelief.coordinator.views.targets import target_lines
from distbelief.coordinator.views.weights import WeightFigures

#: Targets, and numbers of features, that are looked at together.
CHUNK = 1 << 20

_SHOWN = 20  # classes, columns or bad lines on a terminal


@dataclass(frozen=True)
class Description:
    """A data set in figures.

    ``density`` is the share of the features that are not zero; ``classes`` the examples of
    each, empty for a regression, whose ``targets`` are (least, mean, greatest). ``options`` are
    those that the data were read with, ``weights`` those of the examples.
    """

    dataset: Dataset
    density: float
    classes: Mapping[Label, int]
    targets: tuple[float, float, float] | None
    options: Mapping[str, Scalar] = field(default_factory=dict)
    weights: WeightFigures | None = None

    def to_json(self) -> dict[str, Any]:
        data, schema, facts = self.dataset, self.dataset.schema, self.dataset.facts
        return {
            "data": data.name,
            "examples": data.n_examples,
            "features": schema.n_features,
            "storage": "sparse" if schema.sparse else "dense",
            "density": self.density,
            "target": facts.target.to_json(),
            "task": "classification" if schema.n_classes else "regression",
            "positive": schema.names[1] if schema.n_classes == 2 else None,
            "classes": [{"label": name, "examples": n} for name, n in self.classes.items()],
            "targets": self.targets and dict(zip(_TARGETS, self.targets, strict=True)),
            "weights": self.weights and asdict(self.weights),
            "numeric_columns": list(_numeric(self.dataset)),
            "categorical_columns": list(facts.names[len(_numeric(self.dataset)) :]),
            "buckets": schema.buckets,
            "columns": [column.to_json() for column in facts.columns],
            "remarks": remarks(facts.columns, data.n_examples),
            "bad_lines": [
                {"file": fault.file, fault.unit: fault.line, "reason": fault.reason}
                for fault in facts.skipped
            ],
            "cached_bytes": facts.cached_bytes,
            "fingerprint": data.fingerprint,
        }

    def lines(self) -> list[str]:
        """Describe it for people, a line each."""
        data, schema, facts = self.dataset, self.dataset.schema, self.dataset.facts
        storage = "sparse" if schema.sparse else "dense"
        return [
            f"examples: {data.n_examples:,}",
            f"features: {schema.n_features:,}, {storage}, "
            f"{100 * self.density:.3g} % of the values not zero",
            *self._columns(),
            *target_lines(data, self.options),
            *([] if self.weights is None else [self.weights.text()]),
            *_cut(remarks(facts.columns, data.n_examples)),
            *self._targets(),
            f"bad lines: {len(facts.skipped):,}",
            *_cut([f"  {fault}" for fault in facts.skipped]),
            f"cached: {facts.cached_bytes / 1e6:,.1f} MB",
            f"fingerprint: {data.fingerprint}",
        ]

    def _columns(self) -> list[str]:
        schema, names = self.dataset.schema, self.dataset.facts.names
        numbers, lines = _numeric(self.dataset), []
        if numbers:
            lines.append(f"numeric columns: {', '.join(_cut(list(numbers)))}")
        if schema.n_fields:
            fields = _cut(list(names[len(numbers) :])) or [f"{schema.n_fields} without names"]
            lines.append(
                f"categorical columns: {', '.join(fields)}, hashed to {schema.buckets:,} each"
            )
        return lines

    def _targets(self) -> list[str]:
        if self.targets is not None:
            figures = zip(_TARGETS, self.targets, strict=True)
            form = ".15g" if self.dataset.schema.target_origin else ".6g"
            return ["targets: " + ", ".join(f"{name} {value:{form}}" for name, value in figures)]
        counts = [f"  {label}: {n:,}" for label, n in self.classes.items()]
        return [f"classes: {len(self.classes):,}", *_cut(counts)]


_TARGETS = ("least", "mean", "greatest")


def describe(
    source: str, options: Mapping[str, Scalar], progress: Progress | None = None
) -> Description:
    """Open a data set, converting it if need be, and look at all of it.

    Raises:
        DataError: the source, an option or the data is unusable.
    """
    dataset = open_cached(source, options, default_cache_folder(), progress=progress)
    n_classes, origin = dataset.n_classes, dataset.schema.target_origin
    counts, total = np.zeros(n_classes, np.int64), 0.0
    least, greatest = np.inf, -np.inf
    for start in range(0, dataset.n_examples, CHUNK):
        targets = dataset.targets[start : start + CHUNK]
        if n_classes:
            counts += np.bincount(targets, minlength=n_classes)
        else:
            total += float(targets.sum(dtype=np.float64))
            least, greatest = min(least, targets.min()), max(greatest, targets.max())
    return Description(
        dataset,
        _not_zero(dataset) / (dataset.n_examples * dataset.n_features),
        dict(zip(dataset.schema.names, counts.tolist(), strict=True)),
        None
        if n_classes
        else (origin + float(least), origin + total / dataset.n_examples, origin + float(greatest)),
        options,
        WeightFigures.of(dataset),
    )


def _numeric(dataset: Dataset) -> tuple[str, ...]:
    """Names of the columns of numbers."""
    names = dataset.facts.names
    return names[: len(names) - dataset.schema.n_fields]


def _not_zero(dataset: Dataset) -> int:
    values, step = dataset.features, max(1, CHUNK // dataset.n_features)
    if dataset.schema.sparse:
        values, step = dataset.features.values, CHUNK  # whatever the examples have of them
    return sum(
        int(np.count_nonzero(values[start : start + step])) for start in range(0, len(values), step)
    )


def _cut(lines: list[str]) -> list[str]:
    more = len(lines) - _SHOWN
    return lines if more <= 0 else [*lines[:_SHOWN], f"  and {more:,} more"]
