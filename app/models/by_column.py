"""What models have in common whose sparse tensor has a row for each column of the features."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from distbelief.app.datasets.examples.sparse import relabelled
from distbelief.app.layout.rows import Ids
from distbelief.app.models.model import Features, Narrowed
from distbelief.app.models.scaling import Scaling


@dataclass(frozen=True)
class ByColumn:
    """On sparse data an example touches the rows of its features."""

    n_features: int

    def narrowed(self, features: Features) -> Narrowed:
        rows, counts, features = relabelled(features)
        return Narrowed(replace(self, n_features=len(rows)), features, (rows,), (counts,))  # type: ignore[arg-type]

    def cut(self, rows: Ids, scaling: Scaling) -> tuple[Self, Scaling]:
        return replace(self, n_features=len(rows)), scaling.at(rows)
