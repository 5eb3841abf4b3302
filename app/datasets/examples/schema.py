"""The form of a data set's examples, without the examples."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Label = int | str


@dataclass(frozen=True)
class Schema:
    """All that a model has to know of the data; it travels in run records and saved models.

    Attributes:
        n_features: columns of the features.
        n_classes: number of classes; 0 says regression.
        sparse: whether examples are rows of a CSR matrix.
        n_dense: leading columns that hold numbers, where others are hashed categories.
        n_fields: categorical columns of the user's file. Each owns a range of
            ``buckets`` features behind the dense ones, and an example has one 1 in each.
        labels: the user's name for each class: a whole number, a text as it was given, or a
            truth value; in ascending order, but for two of which the user called one positive,
            which is the second. Empty if the classes are called 0 to ``n_classes - 1``.
        target_origin: what was subtracted from the targets of a regression before they were
            rounded, and is added to predictions; 0 where float32 can tell them apart.
    """

    n_features: int
    n_classes: int = 0
    sparse: bool = False
    n_dense: int = 0
    n_fields: int = 0
    labels: tuple[Label, ...] = ()
    target_origin: float = 0.0

    @property
    def buckets(self) -> int:
        """Hash buckets of each categorical column; 0 without any."""
        return (self.n_features - self.n_dense) // self.n_fields if self.n_fields else 0

    @property
    def names(self) -> tuple[Label, ...]:
        """The name of each class."""
        return self.labels or tuple(range(self.n_classes))

    def values(self, predicted: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """What a regression predicts, in the numbers that its targets were before an origin."""
        if not self.target_origin:
            return predicted
        return predicted.astype(np.float64) + self.target_origin

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: Any) -> Schema:
        """Read what :meth:`to_json` wrote; raises ValueError if that is something else."""
        try:
            found = cls(**{**document, "labels": tuple(document["labels"])})
        except (KeyError, TypeError) as error:
            raise ValueError(f"this is no schema of data: {error}") from error
        counts = (found.n_features, found.n_classes, found.n_dense, found.n_fields)
        if not (
            all(type(each) is int and each >= 0 for each in counts)
            and type(found.sparse) is bool
            and type(found.target_origin) in (int, float)
            and math.isfinite(found.target_origin)
            and len(found.labels) in (0, found.n_classes)
            and all(type(label) in (bool, int, str) for label in found.labels)
        ):
            raise ValueError(f"this is no schema of data: {str(found)[:200]}")
        return found
