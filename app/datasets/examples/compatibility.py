"""Compatibility of schemas: data that have to fit other data, or a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from distbelief.app.datasets.examples.column import DATE, Column
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.errors import DataError
from distbelief.app.settings.sections import Scalar

#: Options that say by position or name what columns are, which named ones say themselves.
OF_NAMED_COLUMNS = ("header", "categorical", "numeric", "ignore", "dates", "keep")


#: What was done before there were options for it; models of that time do not say so.
BEFORE_COLUMNS: Mapping[str, Scalar] = {"na": "", "keep": "*", "missing": 0.0}
BEFORE_NUMERIC: Mapping[str, Scalar] = {"numeric": "*"}


@dataclass(frozen=True)
class Compatibility:
    """What data must be: like other data, or like those that a model was trained on.

    Attributes:
        schema: number of features and names of the classes.
        name: the other data or the model, for messages.
        reading: options with which other files give the same features.
        features: the columns that became features, numbers first; empty where they had no names.
        columns: all columns of the other file, in its order; empty likewise.
        table: how its columns became features, in its order; empty where they are as they were.
    """

    schema: Schema
    name: str
    reading: Mapping[str, Scalar] = field(default_factory=dict)
    features: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    table: tuple[Column, ...] = ()

    @property
    def numeric(self) -> tuple[str, ...]:
        """The columns of numbers."""
        return self.features[: len(self.features) - self.schema.n_fields]

    @property
    def categorical(self) -> tuple[str, ...]:
        """The columns of categories."""
        return self.features[len(self.numeric) :]

    @cached_property
    def numbers(self) -> tuple[Column, ...]:
        """How numbers became features, in the order of these."""
        found = [column for column in self.table if column.is_number]
        if not self.features:
            return tuple(found)
        by_name = {column.name: column for column in found}
        return tuple(by_name[name] for name in self.numeric if name in by_name)

    @cached_property
    def dates(self) -> tuple[str, ...]:
        """The columns of dates."""
        return tuple(column.name for column in self.numbers if column.kind == DATE)

    @property
    def options(self) -> Mapping[str, Scalar]:
        """Options for another file; of named columns, which may stand anywhere, it needs none."""
        by_name = OF_NAMED_COLUMNS if self.features else ()
        reading = self.reading
        if "categorical" in reading and not self.table:
            reading = {**BEFORE_COLUMNS, **reading}
        if "categorical" in reading:
            reading = {**BEFORE_NUMERIC, **reading}
        return {key: value for key, value in reading.items() if key not in by_name}

    @property
    def target(self) -> str | None:
        """The column of the targets, where it has a name."""
        target = self.reading.get("target")
        return str(target) if self.features and target is not None else None

    @property
    def weight(self) -> str | None:
        """What the weights of the examples are called, if these had any in their file."""
        weight = self.reading.get("weight")
        return None if weight is None or weight is False else str(weight)

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": self.schema.to_json(),
            "name": self.name,
            "reading": dict(self.reading),
            "features": list(self.features),
            "columns": list(self.columns),
            "table": [column.to_json() for column in self.table],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Compatibility:
        return cls(
            Schema.from_json(document["schema"]),
            document["name"],
            document["reading"],
            tuple(document["features"]),
            tuple(document["columns"]),
            tuple(Column.from_json(column) for column in document.get("table", ())),
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
