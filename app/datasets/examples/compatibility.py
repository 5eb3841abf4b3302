"""Compatibility of schemas: data that have to fit other data, or a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.errors import DataError
from distbelief.app.settings.sections import Scalar


@dataclass(frozen=True)
class Compatibility:
    """What data must be: like other data, or like those that a model was trained on.

    Attributes:
        schema: number of features and names of the classes.
        name: the other data or the model, for messages.
        reading: options with which other files give the same features.
        features: the columns that became features, numbers first; empty where they had no names.
        columns: all columns of the other file, in its order; empty likewise.
    """

    schema: Schema
    name: str
    reading: Mapping[str, Scalar] = field(default_factory=dict)
    features: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()

    @property
    def numeric(self) -> tuple[str, ...]:
        """The columns of numbers."""
        return self.features[: len(self.features) - self.schema.n_fields]

    @property
    def categorical(self) -> tuple[str, ...]:
        """The columns of categories."""
        return self.features[len(self.numeric) :]

    @property
    def options(self) -> Mapping[str, Scalar]:
        """Options for another file; of named columns, which may stand anywhere, it needs none."""
        by_name = ("header", "categorical", "ignore") if self.features else ()
        return {key: value for key, value in self.reading.items() if key not in by_name}

    @property
    def target(self) -> str | None:
        """The column of the targets, where it has a name."""
        target = self.reading.get("target")
        return str(target) if self.features and target is not None else None

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": self.schema.to_json(),
            "name": self.name,
            "reading": dict(self.reading),
            "features": list(self.features),
            "columns": list(self.columns),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Compatibility:
        return cls(
            Schema.from_json(document["schema"]),
            document["name"],
            document["reading"],
            tuple(document["features"]),
            tuple(document["columns"]),
        )

    def check(self, schema: Schema, source: str) -> None:
        """Raise DataError unless features of ``schema`` fit."""
        ours, theirs = self.schema.n_features, schema.n_features
        if ours != theirs:
            raise DataError(
                f"{source} has {theirs} features, it must have the {ours} of {self.name}"
            )
        if self.schema.sparse != schema.sparse:
            raise DataError(
                f"{source} has {_kind(schema)} features, those of {self.name} are "
                f"{_kind(self.schema)}"
            )

    def check_classes(self, schema: Schema, source: str) -> None:
        """Raise DataError unless targets of ``schema`` fit: made ones have labels of their own."""
        ours, theirs = self.schema.n_classes, schema.n_classes
        if theirs > ours or (theirs == 0) != (ours == 0):
            raise DataError(
                f"{source} has {theirs or 'no'} classes, it must have those of {self.name}: "
                f"{ours or 'none'}"
            )


def _kind(schema: Schema) -> str:
    return "sparse" if schema.sparse else "dense"
