"""Compatibility of schemas: data that have to fit other data, or a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.errors import DataError
from distbelief.app.settings.sections import Scalar


@dataclass(frozen=True)
class Compatibility:
    """A schema that data must have: that of other data, or of what a model was trained on.

    Attributes:
        schema: number of features and names of the classes.
        name: the other data or the model, for messages.
        reading: options with which other files give the same features.
    """

    schema: Schema
    name: str
    reading: Mapping[str, Scalar] = field(default_factory=dict)

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
