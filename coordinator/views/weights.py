"""What is said of the weights of examples: where they are, and which data have none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from distbelief.app.datasets.examples.column import WEIGHT
from distbelief.app.datasets.examples.dataset import Dataset, Facts
from distbelief.app.datasets.examples.weights import ScaledWeights
from distbelief.app.datasets.run_data import RunData

_TOGETHER = 1 << 20  # weights that are looked at together


@dataclass(frozen=True)
class WeightFigures:
    """The weights of all examples of a data set; ``place`` says in words where they are."""

    place: str
    total: float
    least: float
    greatest: float

    @classmethod
    def of(cls, dataset: Dataset) -> WeightFigures | None:
        """Those of a data set as it was converted; None if it has none."""
        weights = dataset.weights
        if weights is None:
            return None
        total, least, greatest = 0.0, np.inf, 0.0
        for start in range(0, dataset.n_examples, _TOGETHER):
            part = weights[start : start + _TOGETHER]
            total += float(part.sum(dtype=np.float64))
            least, greatest = min(least, float(part.min())), max(greatest, float(part.max()))
        return cls(place_of(dataset.facts), total, least, greatest)

    def text(self) -> str:
        """A line on them."""
        return (
            f"weights: {self.place}, sum {self.total:.6g}, from {self.least:.6g} to "
            f"{self.greatest:.6g}"
        )


def place_of(facts: Facts) -> str:
    """Where the weights of a data set are."""
    for position, column in enumerate(facts.columns):
        if column.kind == WEIGHT:
            return column.title(position)
    name, form = facts.reading.get("weight"), facts.reading.get("format")
    if form == "libsvm":
        return "behind the labels"
    return "beside the targets" if name is None else f"called {name!r}"


def weight_lines(data: RunData) -> list[str]:
    """What is said before a training on examples whose file says their weights."""
    facts = data.dataset.facts
    if "weight" not in facts.reading:
        had = None if data.fits is None else data.fits.weight
        lacks = (
            f"{data.dataset.name} has no weights, which the model was trained with ({had}): all "
            "examples count the same"
        )
        return [] if had is None or _has_own(data.dataset) else [lacks]
    parts = {"held-out": data.heldout, "test": data.test}
    return [
        f"weights: {place_of(facts)}",
        *(
            f"the {name} data {part.dataset.name} have no weights: all of these examples count the "
            "same"
            for name, part in parts.items()
            if len(part) and not _has_own(part.dataset)
        ),
    ]


def _has_own(dataset: Dataset) -> bool:
    """Whether data as a training uses them have weights besides those of their classes."""
    return isinstance(dataset.weights, ScaledWeights) and dataset.weights.given is not None
