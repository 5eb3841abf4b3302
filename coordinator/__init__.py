"""The coordinating side: command line, embedded cluster, drivers; and what programs use of it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from app.config import ClusterConfig, RunConfig
    from coordinator.api import Result, train
    from coordinator.cluster.local import LocalCluster
    from coordinator.estimators import (
        DownpourClassifier,
        DownpourRegressor,
        SandblasterClassifier,
        SandblasterRegressor,
    )
    from coordinator.trained import TrainedModel

__all__ = [
    "ClusterConfig",
    "DownpourClassifier",
    "DownpourRegressor",
    "LocalCluster",
    "Result",
    "RunConfig",
    "SandblasterClassifier",
    "SandblasterRegressor",
    "TrainedModel",
    "train",
]

#: Where each of them is: imported when it is asked for, which keeps the command line quick.
_PLACES = {
    "ClusterConfig": "app.config",
    "DownpourClassifier": "coordinator.estimators",
    "DownpourRegressor": "coordinator.estimators",
    "LocalCluster": "coordinator.cluster.local",
    "Result": "coordinator.api",
    "RunConfig": "app.config",
    "SandblasterClassifier": "coordinator.estimators",
    "SandblasterRegressor": "coordinator.estimators",
    "TrainedModel": "coordinator.trained",
    "train": "coordinator.api",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'coordinator' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return __all__
