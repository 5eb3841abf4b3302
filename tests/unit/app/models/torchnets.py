"""Factories of torch modules, as users would write them; imported by their path."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn


def layers(n_features: int, n_classes: int, width: int = 5) -> Any:
    n_outputs = n_classes if n_classes > 2 else 1
    return nn.Sequential(nn.Linear(n_features, width), nn.Tanh(), nn.Linear(width, n_outputs))


def two_outputs(n_features: int, n_classes: int) -> Any:
    return nn.Linear(n_features, 2)


def normed(n_features: int, n_classes: int) -> Any:
    return nn.Sequential(
        nn.Linear(n_features, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, n_classes)
    )


def dropping(n_features: int, n_classes: int) -> Any:
    return nn.Sequential(nn.Linear(n_features, 20), nn.Dropout(0.5), nn.Linear(20, n_classes))


def frozen(n_features: int, n_classes: int) -> Any:
    module = layers(n_features, n_classes)
    module[0].weight.requires_grad_(False)
    return module


class Watched(nn.Linear):  # type: ignore[misc]  # Any where torch is not installed
    """Notes where its weights, and their gradients after a step, lie in memory."""

    seen: ClassVar[list[tuple[int, ...]]] = []

    def forward(self, features: Any) -> Any:
        self.seen.append((self.weight.data_ptr(), self.bias.data_ptr()))
        if self.weight.grad is not None:
            self.seen.append((self.weight.grad.data_ptr(), self.bias.grad.data_ptr()))
        return super().forward(features)


class Masked(nn.Module):  # type: ignore[misc]
    """Attends to what comes before, by a mask that is part of its state."""

    def __init__(self, n_features: int, n_classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(n_features)
        self.last = nn.Linear(n_features, n_classes)
        shape = n_features, n_features
        self.register_buffer("mask", torch.triu(torch.full(shape, float("-inf")), 1))
        self.register_buffer("steps", torch.arange(n_features))
        self.register_buffer("scratch", torch.zeros(2), persistent=False)

    def forward(self, features: Any) -> Any:
        normed = self.norm(features)
        weights = torch.softmax(normed[:, :, None] * normed[:, None, :] + self.mask, dim=2)
        return self.last((weights @ normed[:, :, None])[:, self.steps, 0])


def masked(n_features: int, n_classes: int) -> Any:
    return Masked(n_features, n_classes)


class TiedTwice(nn.Module):  # type: ignore[misc]
    """Two layers have one weight."""

    def __init__(self, n_features: int, n_classes: int) -> None:
        super().__init__()
        self.inner = nn.Linear(n_features, n_features)
        self.again = nn.Linear(n_features, n_features)
        self.again.weight = self.inner.weight
        self.last = nn.Linear(n_features, n_classes)

    def forward(self, features: Any) -> Any:
        return self.last(self.again(torch.tanh(self.inner(features))))


def tied_twice(n_features: int, n_classes: int) -> Any:
    return TiedTwice(n_features, n_classes)


def watched(n_features: int, n_classes: int) -> Any:
    return Watched(n_features, n_classes)


class Ids(nn.Module):  # type: ignore[misc]
    """The first two columns are ids of one embedding, the others of a bag."""

    def __init__(self, n_features: int, n_classes: int, **options: Any) -> None:
        super().__init__()
        self.one = nn.Embedding(30, 3, **{"sparse": True, **options})
        self.bag = nn.EmbeddingBag(25, 2, sparse=True, mode="mean")
        self.last = nn.Linear(3 * 2 + 2, n_classes)

    def forward(self, features: Any) -> Any:
        ids = features.long()
        both = torch.cat([self.one(ids[:, :2]).flatten(1), self.bag(ids[:, 2:])], dim=1)
        return self.last(both)


class Tied(nn.Module):  # type: ignore[misc]
    """Looks up rows of what is another layer's weight, too."""

    def __init__(self, n_features: int, n_classes: int) -> None:
        super().__init__()
        self.ids = nn.Embedding(n_classes, 4, sparse=True)
        self.first = nn.Linear(n_features, 4)
        self.last = nn.Linear(4, n_classes)
        self.last.weight = self.ids.weight

    def forward(self, features: Any) -> Any:
        return self.last(self.first(features) + self.ids(features[:, 0].long()))


class Wayward(nn.Module):  # type: ignore[misc]
    """Its ids depend on its parameters."""

    def __init__(self, n_features: int, n_classes: int) -> None:
        super().__init__()
        self.first = nn.Linear(n_features, 1)
        self.ids = nn.Embedding(10, n_classes, sparse=True)

    def forward(self, features: Any) -> Any:
        return self.ids((self.first(features)[:, 0] > 0).long())


class Bag(nn.Module):  # type: ignore[misc]
    """Takes the rows of a sparse matrix: the sum of the embeddings of their columns."""

    def __init__(self, n_features: int, n_classes: int) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(n_features, 4, sparse=True, mode="sum")
        self.last = nn.Linear(4, n_classes)

    def forward(self, columns: Any, starts: Any, values: Any) -> Any:
        return self.last(torch.tanh(self.bag(columns, starts, values)))


class Fields(nn.Module):  # type: ignore[misc]
    """A click model: an embedding of each category beside the numbers."""

    def __init__(self, n_features: int, n_classes: int, n_dense: int, n_fields: int) -> None:
        super().__init__()
        self.categories = nn.Embedding(n_features - n_dense, 3, sparse=True)
        self.last = nn.Linear(n_dense + 3 * n_fields, 1)

    def forward(self, numbers: Any, ids: Any) -> Any:
        return self.last(torch.cat([numbers, self.categories(ids).flatten(1)], dim=1))


def limited(n_features: int, n_classes: int) -> Any:
    return nn.Sequential(Ids(n_features, n_classes, max_norm=1.0))


class Huge(nn.Module):  # type: ignore[misc]
    """More ids than float32 has whole numbers; without memory, as nothing is computed."""

    def __init__(self, n_features: int, n_classes: int) -> None:
        super().__init__()
        self.ids = nn.Embedding(2, n_classes, sparse=True)
        self.ids.num_embeddings = 2**24 + 1

    def forward(self, features: Any) -> Any:
        return self.ids(features[:, 0].long())


def of_nothing(n_features: int, n_classes: int) -> Any:
    return nn.Tanh()


def no_module(n_features: int, n_classes: int) -> Any:
    return {"weights": n_features}


def broken(n_features: int, n_classes: int) -> Any:
    raise RuntimeError("no such net")


def misfit(n_features: int, n_classes: int) -> Any:
    return nn.Linear(n_features + 1, n_classes)


class Cube(nn.Linear):  # type: ignore[misc]
    def forward(self, features: Any) -> Any:
        return super().forward(features)[:, None]


def cube(n_features: int, n_classes: int) -> Any:
    return Cube(n_features, n_classes)


def squared(outputs: Any, targets: Any) -> Any:
    return ((outputs - targets) ** 2).mean()


def margin(outputs: Any, targets: Any) -> Any:
    return nn.functional.multi_margin_loss(outputs, targets)


def of_each(outputs: Any, targets: Any) -> Any:
    return nn.functional.cross_entropy(outputs, targets, reduction="none")


def failing(outputs: Any, targets: Any) -> Any:
    raise ValueError("no loss today")
