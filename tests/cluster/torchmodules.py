"""A torch module as a user would write it; workers import this file by its name."""

from __future__ import annotations

from typing import Any

from torch import nn


def net(n_features: int, n_classes: int, width: int) -> Any:
    return nn.Sequential(
        nn.Linear(n_features, width),
        nn.BatchNorm1d(width),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Linear(width, n_classes),
    )
