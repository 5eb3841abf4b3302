"""Data sets that are made, not read: the digits, and problems drawn from a seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np

from distbelief.app.datasets.examples.dataset import Features, Targets
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.datasets.examples.sparse import SparseFeatures
from distbelief.app.datasets.formats.option_kinds import NumberOption
from distbelief.app.datasets.sources import synthetic
from distbelief.app.datasets.sources.clicks import clicks


@dataclass(frozen=True)
class Generator:
    """Makes a data set; its options are the arguments of ``make``."""

    options: Mapping[str, NumberOption]
    make: Callable[..., tuple[Features | SparseFeatures, Targets, Schema]]


def _digits() -> tuple[Features, Targets, Schema]:
    """1,797 handwritten digits of 8 x 8 pixels, in sixteenths.

    They are the test set of "Optical Recognition of Handwritten Digits" by E. Alpaydin and
    C. Kaynak (UCI Machine Learning Repository, 1998, doi:10.24432/C50P49, CC BY 4.0), in the order
    in which scikit-learn has them.
    """
    file = resources.files(__package__) / "digits.npz"
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as digits:
        pixels, targets = digits["pixels"], digits["targets"]
    return pixels.astype(np.float32) / 16, targets.astype(np.int64), Schema(64, 10)


def _drawn(problem: Callable[..., synthetic.SyntheticProblem]) -> Callable[..., Any]:
    def make(**options: Any) -> tuple[Features, Targets, Schema]:
        drawn = problem(**options)
        schema = Schema(drawn.features.shape[1], drawn.n_classes)
        return drawn.features, drawn.targets, schema

    return make


def _clicks(fields: int, **options: Any) -> tuple[SparseFeatures, Targets, Schema]:
    drawn = clicks(fields=fields, **options)
    schema = Schema(drawn.features.n_features, 2, sparse=True, n_fields=fields)
    return drawn.features, drawn.targets, schema


_SIZES = {"examples": NumberOption(int, 1000, 1), "features": NumberOption(int, 20, 1)}
_SEED = {"seed": NumberOption(int, 0, 0)}

GENERATORS: Mapping[str, Generator] = {
    "digits": Generator({}, _digits),
    "synthetic:linear": Generator(
        {**_SIZES, "noise": NumberOption(float, 0.0, 0), **_SEED}, _drawn(synthetic.linear)
    ),
    "synthetic:logistic": Generator({**_SIZES, **_SEED}, _drawn(synthetic.logistic)),
    "synthetic:softmax": Generator(
        {**_SIZES, "classes": NumberOption(int, 5, 2), **_SEED}, _drawn(synthetic.softmax)
    ),
    "synthetic:clicks": Generator(
        {
            "examples": NumberOption(int, 10_000, 1),
            "features": NumberOption(int, 65_536, 1),
            "fields": NumberOption(int, 20, 1),
            "rank": NumberOption(int, 0, 0),
            **_SEED,
        },
        _clicks,
    ),
}
