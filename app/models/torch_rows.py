"""Embedding layers with ``sparse=True``, of whose weight only some rows may be there.

Which rows a minibatch touches is seen by running the module on it and noting what the
layers are asked for: the module's own code turns examples into ids. The layers look ids up
by their position among the rows that are there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from distbelief.app.errors import ModelError
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.models.torch_inputs import LARGEST_DENSE_ID

Ids = npt.NDArray[np.int64]


@dataclass(eq=False)
class EmbeddingRows:
    """The weight of one or more embedding layers, and which of its rows are there.

    ``present`` is ascending, None stands for all rows. While ``asked`` is a list, ids are
    noted there, and whatever weight there is, zeros are looked up.
    """

    name: str
    weight: nn.Parameter
    present: torch.Tensor | None = None
    asked: list[torch.Tensor] | None = None

    def touched(self) -> tuple[Ids, Ids]:
        """The rows that were asked for, ascending, and how often."""
        assert self.asked is not None
        ids = torch.cat([part.flatten() for part in self.asked]) if self.asked else _NO_IDS
        rows, counts = torch.unique(ids.cpu().long(), return_counts=True)
        return rows.numpy(), counts.numpy()

    def look_up(
        self,
        layer: Any,
        forward: Callable[..., torch.Tensor],
        input: torch.Tensor,  # the name that it has in torch
        *others: Any,
        **named: Any,
    ) -> torch.Tensor:
        """Stands in for the ``forward`` of a layer."""
        present = self.present
        if self.asked is not None:
            self.asked.append(input.detach())
            present = torch.unique(input)
            shape = (len(present), *self.weight.shape[1:])
            self.weight.data = self.weight.new_zeros(shape)
        if present is None:
            return forward(input, *others, **named)
        positions = _positions(present, input, self.name)
        padding = layer.padding_idx
        if padding is not None:
            found = torch.nonzero(present == padding).flatten().tolist()
            layer.padding_idx = found[0] if found else None
        try:
            return forward(positions, *others, **named)
        finally:
            layer.padding_idx = padding


def sparse_rows(module: nn.Module, *, dense_data: bool) -> list[EmbeddingRows]:
    """Take over the embedding layers of ``module`` whose weights get sparse gradients.

    A weight that any other layer has too (a tied one) is left as it is.

    Raises:
        ModelError: a layer that changes its own weight, or that dense features cannot feed.
    """
    users: dict[nn.Parameter, list[nn.Module]] = {}
    for layer in module.modules():
        for parameter in layer.parameters(recurse=False):
            users.setdefault(parameter, []).append(layer)
    found = []
    for name, weight in module.named_parameters():
        layers = users[weight]
        for layer in layers:
            if isinstance(layer, nn.Embedding | nn.EmbeddingBag):
                _check(name, layer, dense_data)
        if all(_is_sparse(layer) for layer in layers):
            found.append(EmbeddingRows(name, weight))
            _take_over(found[-1], layers)
    return found


@contextmanager
def only(rows: Sequence[EmbeddingRows], present: Sequence[Ids] | None) -> Iterator[None]:
    """Have only these rows there; or, if None, note which are asked for."""
    for index, each in enumerate(rows):
        if present is None:
            each.asked = []
        else:
            each.present = torch.from_numpy(present[index]).to(each.weight.device)
    try:
        yield
    finally:
        for each in rows:
            each.present = each.asked = None


def cut(tensors: Sequence[TensorSpec], rows: Sequence[Ids]) -> tuple[TensorSpec, ...]:
    """Cut the sparse tensors to as many rows as there are ``rows``."""
    lengths = iter(rows)
    return tuple(
        replace(t, shape=(len(next(lengths)), *t.shape[1:])) if t.sparse else t for t in tensors
    )


_NO_IDS = torch.empty(0, dtype=torch.int64)


def _is_sparse(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Embedding | nn.EmbeddingBag) and layer.sparse


def _take_over(rows: EmbeddingRows, layers: Sequence[Any]) -> None:
    for layer in layers:
        layer.forward = partial(rows.look_up, layer, layer.forward)


def _check(name: str, layer: nn.Embedding | nn.EmbeddingBag, dense_data: bool) -> None:
    if layer.max_norm is not None:
        raise ModelError(
            f"the embedding {name} has a max_norm, with which it changes its own weights: "
            "leave it out"
        )
    if dense_data and layer.num_embeddings > LARGEST_DENSE_ID:
        raise ModelError(
            f"the embedding {name} has {layer.num_embeddings:,} rows, but dense features, kept "
            f"in float32, hold ids up to {LARGEST_DENSE_ID:,} only: use sparse data"
        )


def _positions(present: torch.Tensor, ids: torch.Tensor, name: str) -> torch.Tensor:
    positions = torch.searchsorted(present, ids.to(present.dtype).contiguous())
    positions = positions.clamp(max=max(0, len(present) - 1))
    if ids.numel() and not (len(present) and bool((present[positions] == ids).all())):
        raise ModelError(
            f"the embedding {name} was asked for other ids than in a trial run on the same "
            "examples: ids must depend on the examples alone"
        )
    return positions
