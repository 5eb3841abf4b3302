"""Arguments of a torch module's forward pass, from examples as data sets hold them.

Dense features arrive as one tensor (n, n_features). Sparse ones arrive as
``torch.nn.EmbeddingBag`` takes them: columns and values of all entries, one example after
another, and where each example begins. Where some columns are hashed categories, the module
is given the numbers (n, n_dense) and the category of each field (n, n_fields): the ids count
over all fields, those of field f from ``f * buckets`` on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.errors import ModelError
from distbelief.app.models.model import Features

#: Whole numbers above this are not exact in float32, in which dense features are kept.
LARGEST_DENSE_ID = 2**24


def arguments(features: Features, schema: Schema, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    """The positional arguments of the forward pass; numbers are of ``dtype``."""
    if not schema.sparse:
        return (as_tensor(features).to(dtype),)
    rows: Any = features
    if schema.n_fields:
        numbers = as_tensor(rows[:, : schema.n_dense].toarray()).to(dtype)
        return numbers, torch.from_numpy(_categories(rows, schema))
    columns, starts = rows.indices.astype(np.int64), rows.indptr[:-1].astype(np.int64)
    values = as_tensor(rows.data).to(dtype)
    return torch.from_numpy(columns), torch.from_numpy(starts), values


def trial(schema: Schema, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    """Arguments for two examples that every module must take."""
    if not schema.sparse:
        return (torch.zeros(2, schema.n_features, dtype=dtype),)
    if schema.n_fields:
        first = torch.arange(schema.n_fields) * schema.buckets
        return torch.zeros(2, schema.n_dense, dtype=dtype), first.repeat(2, 1)
    return torch.tensor([0, 0]), torch.tensor([0, 1]), torch.zeros(2, dtype=dtype)


def as_tensor(array: npt.NDArray[Any]) -> torch.Tensor:
    """Make a tensor of the array's memory, or of a copy if the array is read-only.

    Torch has no read-only tensors.
    """
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def _categories(rows: Any, schema: Schema) -> npt.NDArray[np.int64]:
    hashed = rows.indices >= schema.n_dense
    n_examples = rows.shape[0]
    if np.count_nonzero(hashed) != n_examples * schema.n_fields:
        raise ModelError(f"an example does not have one category in each of {schema.n_fields}")
    ids: npt.NDArray[np.int64] = rows.indices[hashed].astype(np.int64) - schema.n_dense
    return ids.reshape(n_examples, schema.n_fields)
