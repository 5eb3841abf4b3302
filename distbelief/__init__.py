"""DistBelief on Celery and Redis: everything that a program or a model of yours imports.

Only the names below are promised; what lies in the packages underneath may move.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distbelief.app.errors import (
        AuthenticationFailed,
        CheckpointError,
        ConfigError,
        DataError,
        DataLost,
        DistBeliefError,
        Diverged,
        Fenced,
        KeyDamaged,
        LayoutError,
        ModelError,
        ModelMissing,
        NotFinite,
        NoWorkers,
        RunDamaged,
        RunTaken,
        RunUnknown,
        ScriptSelfTestFailed,
        ServerError,
        ServerRefused,
        ServerUnreachable,
        ShardBehind,
        StoreError,
        UnsafeEviction,
        WaitTimeout,
        WorkerMismatch,
        WorkFailed,
    )
    from distbelief.app.layout.tensors import TensorSpec, views
    from distbelief.app.models.model import Model, Task
    from distbelief.app.settings.config import ClusterConfig, RunConfig
    from distbelief.coordinator.api import train
    from distbelief.coordinator.cluster.local import LocalCluster
    from distbelief.coordinator.estimators import (
        DownpourClassifier,
        DownpourRegressor,
        HybridClassifier,
        HybridRegressor,
        SandblasterClassifier,
        SandblasterRegressor,
    )
    from distbelief.coordinator.inference.trained_model import TrainedModel, load_model
    from distbelief.coordinator.progress.events import Event
    from distbelief.coordinator.progress.outcome import EndReason
    from distbelief.coordinator.progress.status import Status
    from distbelief.coordinator.result import Result

#: The module of each name. It is imported when the name is first asked for: importing this
#: package takes no time, and a model does not import what only a training needs.
_MODULES = {
    "AuthenticationFailed": "app.errors",
    "CheckpointError": "app.errors",
    "ClusterConfig": "app.settings.config",
    "ConfigError": "app.errors",
    "DataError": "app.errors",
    "DataLost": "app.errors",
    "DistBeliefError": "app.errors",
    "Diverged": "app.errors",
    "DownpourClassifier": "coordinator.estimators",
    "DownpourRegressor": "coordinator.estimators",
    "EndReason": "coordinator.progress.outcome",
    "Event": "coordinator.progress.events",
    "Fenced": "app.errors",
    "HybridClassifier": "coordinator.estimators",
    "HybridRegressor": "coordinator.estimators",
    "KeyDamaged": "app.errors",
    "LayoutError": "app.errors",
    "LocalCluster": "coordinator.cluster.local",
    "Model": "app.models.model",
    "ModelError": "app.errors",
    "ModelMissing": "app.errors",
    "NoWorkers": "app.errors",
    "NotFinite": "app.errors",
    "Result": "coordinator.result",
    "RunConfig": "app.settings.config",
    "RunDamaged": "app.errors",
    "RunTaken": "app.errors",
    "RunUnknown": "app.errors",
    "SandblasterClassifier": "coordinator.estimators",
    "SandblasterRegressor": "coordinator.estimators",
    "ScriptSelfTestFailed": "app.errors",
    "ShardBehind": "app.errors",
    "ServerError": "app.errors",
    "ServerRefused": "app.errors",
    "ServerUnreachable": "app.errors",
    "Status": "coordinator.progress.status",
    "StoreError": "app.errors",
    "Task": "app.models.model",
    "TensorSpec": "app.layout.tensors",
    "TrainedModel": "coordinator.inference.trained_model",
    "UnsafeEviction": "app.errors",
    "WaitTimeout": "app.errors",
    "WorkFailed": "app.errors",
    "WorkerMismatch": "app.errors",
    "load_model": "coordinator.inference.trained_model",
    "train": "coordinator.api",
    "views": "app.layout.tensors",
}

__all__ = [
    "AuthenticationFailed",
    "CheckpointError",
    "ClusterConfig",
    "ConfigError",
    "DataError",
    "DataLost",
    "DistBeliefError",
    "Diverged",
    "DownpourClassifier",
    "DownpourRegressor",
    "EndReason",
    "Event",
    "Fenced",
    "HybridClassifier",
    "HybridRegressor",
    "KeyDamaged",
    "LayoutError",
    "LocalCluster",
    "Model",
    "ModelError",
    "ModelMissing",
    "NoWorkers",
    "NotFinite",
    "Result",
    "RunConfig",
    "RunDamaged",
    "RunTaken",
    "RunUnknown",
    "SandblasterClassifier",
    "SandblasterRegressor",
    "ScriptSelfTestFailed",
    "ServerError",
    "ServerRefused",
    "ServerUnreachable",
    "ShardBehind",
    "Status",
    "StoreError",
    "Task",
    "TensorSpec",
    "TrainedModel",
    "UnsafeEviction",
    "WaitTimeout",
    "WorkFailed",
    "WorkerMismatch",
    "load_model",
    "train",
    "views",
]

for _name, _module in _MODULES.items():
    if _module == "coordinator.estimators" and find_spec("sklearn") is None:
        __all__.remove(_name)  # so that import * does not fail


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'distbelief' has no attribute {name!r}")
    return getattr(import_module(f"distbelief.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
