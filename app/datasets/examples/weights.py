"""Weights of examples: checked, of mean 1 over those that are trained on, and times their class's.

Equal to repeating an example as often as its weight says: losses are sums of weight times loss.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from distbelief.app.datasets.examples.schema import Label
from distbelief.app.errors import DataError

Array = npt.NDArray[Any]
Weights = npt.NDArray[np.float32]

BALANCED = "balanced"

#: Of weights with which nothing would be left.
ALL_ZERO = "all weights of examples are 0: one must be larger"


@dataclass(frozen=True, eq=False)
class ScaledWeights:
    """Weights of examples as a training uses them, computed for those that are asked for.

    Attributes:
        targets: of all examples.
        given: what the data say of each; None where all are 1.
        factors: the weight of each class; None where all are 1.
        divisor: what makes their mean 1.
    """

    targets: Any
    given: Any = None
    factors: Array | None = None
    divisor: float = 1.0

    def __getitem__(self, rows: Any) -> Weights:
        """The weights of some examples: float32, as many as these."""
        return (self.exact(rows) / self.divisor).astype(np.float32)

    def exact(self, rows: Any) -> Array:
        """The same before they are divided and rounded: float64."""
        if self.factors is None:
            return np.asarray(self.given[rows], np.float64)
        factors: Array = self.factors[self.targets[rows]]
        return factors if self.given is None else factors * self.given[rows]


def as_weights(values: Any, n_examples: int, name: str) -> Weights:
    """The weights of examples; raises DataError if they are none."""
    try:
        found = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{name}: the weights of examples must be numbers") from None
    if found.shape != (n_examples,):
        raise DataError(
            f"{name}: there must be a weight for each of {n_examples} examples, got shape "
            f"{found.shape}"
        )
    bad = np.flatnonzero(~(found >= 0) | ~np.isfinite(found))
    if len(bad):
        raise DataError(
            f"{name}: the weight of example {bad[0]} is {found[bad[0]]:g}: it must be a number "
            "from 0"
        )
    if not found.any():
        raise DataError(f"{name}: {ALL_ZERO}")
    return found.astype(np.float32)


def sums_by_class(labels: Array, weights: Array | None, n_classes: int) -> Array:
    """The sum of the weights of each class, shape (n_classes,)."""
    return np.bincount(labels, weights, minlength=n_classes).astype(np.float64)


def class_factors(wanted: str, names: Sequence[Label], sums: Array, source: str) -> Array:
    """The weight of each class: ``balanced``, or "yes=10,no=1" where others have 1.

    Raises:
        DataError: it names no class of the data, or no number.
    """
    if wanted == BALANCED:
        with np.errstate(divide="ignore"):
            factors = sums.sum() / (np.count_nonzero(sums) * sums)
        return np.where(sums > 0, factors, 1.0)
    given = dict(_pair(each, source) for each in wanted.split(","))
    known = [str(name) for name in names]
    for name in given:
        if name not in known:
            raise DataError(
                f'{source}: class_weight names "{name}", the classes are {", ".join(known[:20])}'
            )
    return np.array([given.get(name, 1.0) for name in known])


def written(factors: Mapping[Any, float]) -> str:
    """Weights of classes by name, as :func:`class_factors` reads them."""
    return ",".join(f"{name}={float(weight)!r}" for name, weight in factors.items())


def mean_weight(weights: ScaledWeights, rows: Iterable[Array]) -> float:
    """The mean over some rows, of exact weights; raises DataError if all of theirs are 0."""
    total, n = 0.0, 0
    for block in rows:
        total += float(np.sum(weights.exact(block)))
        n += len(block)
    if not total > 0:
        raise DataError("the weights of all training examples are 0: one must be larger")
    return total / n


def _pair(text: str, source: str) -> tuple[str, float]:
    name, _, number = text.rpartition("=")
    try:
        weight = float(number)
    except ValueError:
        weight = np.nan
    if not name or not 0 <= weight < np.inf:
        raise DataError(
            f"{source}: class_weight must be balanced, or CLASS=WEIGHT,CLASS=WEIGHT with numbers "
            f'from 0, got "{text}"'
        )
    return name.strip(), weight
