"""Torch modules as our models, and examples for each of them."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest
from scipy.sparse import csr_array

from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.layout.tensors import TensorSpec, views
from distbelief.app.models.imports import ALLOWED_IMPORTS_VARIABLE
from distbelief.app.models.registry import build_model

Array = npt.NDArray[Any]

SPARSE = Schema(14, 2, sparse=True)
FIELDS = Schema(14, 2, sparse=True, n_dense=2, n_fields=3)

#: Of each factory: what its data look like.
CASES: dict[str, Schema] = {
    "layers": Schema(4, 2),
    "two_outputs": Schema(4, 2),
    "normed": Schema(4, 3),
    "dropping": Schema(4, 3),
    "frozen": Schema(4, 0),
    "Ids": Schema(4, 3),
    "Tied": Schema(4, 3),
    "Bag": SPARSE,
    "Fields": FIELDS,
}

every_case = pytest.mark.parametrize("case", CASES)


def allow(patch: pytest.MonkeyPatch) -> None:
    """Make ``torchnets`` importable, as an operator would."""
    patch.syspath_prepend(Path(__file__).parent)
    patch.setenv(ALLOWED_IMPORTS_VARIABLE, "torchnets")


def built(factory: str, schema: Schema | None = None, **settings: Any) -> Any:
    chosen = {"module": f"torchnets:{factory}", "loss": None, "model_options": {}, **settings}
    return build_model(
        cast("Any", SimpleNamespace(model="torch", **chosen)), schema or CASES[factory]
    )


def plain(factory: str, schema: Schema | None = None) -> Any:
    """The module itself, as its factory makes it."""
    schema = schema or CASES[factory]
    sizes = {"n_features": schema.n_features, "n_classes": schema.n_classes}
    if schema.n_fields:
        sizes |= {"n_dense": schema.n_dense, "n_fields": schema.n_fields}
    return getattr(importlib.import_module("torchnets"), factory)(**sizes)


def examples(schema: Schema, n: int = 8) -> tuple[Any, Array]:
    """Dense features are small whole numbers, which may be ids; the first example is empty."""
    rng = np.random.default_rng(1)
    targets = rng.integers(0, schema.n_classes, n) if schema.n_classes else rng.normal(size=n)
    if not schema.sparse:
        return rng.integers(0, min(20, max(2, schema.n_classes)), (n, 4)).astype("f4"), targets
    if schema.n_fields:
        hot = np.eye(schema.buckets)[rng.integers(0, schema.buckets, (n, schema.n_fields))]
        numbers = rng.normal(size=(n, schema.n_dense))
        return csr_array(np.hstack([numbers, hot.reshape(n, -1)]).astype("f4")), targets
    dense = rng.normal(size=(n, 14)) * (rng.random((n, 14)) < 0.3)
    dense[0] = 0
    return csr_array(dense.astype("f4")), targets


def parameters_for(model: Any) -> Array:
    """Near where the module begins."""
    rng = np.random.default_rng(2)
    first: Array = model.initial(rng)
    return first + 0.1 * rng.random(first.size)


def evaluate(model: Any, parameters: Array, batch: tuple[Any, Array]) -> tuple[float, Array]:
    gradient = np.full_like(parameters, np.nan)
    return model.loss_and_gradient(parameters, *batch, gradient), gradient


def cut(tensors: Sequence[TensorSpec], vector: Array, rows: Sequence[Array]) -> Array:
    """The numbers of a narrowed model among those of the whole."""
    touched = iter(rows)
    parts = zip(tensors, views(vector, tensors), strict=True)
    return np.concatenate([(t[next(touched)] if s.sparse else t).ravel() for s, t in parts])
