"""Estimators for scikit-learn: fit, predict, score, in pipelines and searches.

They are thin: parameters have the names and meanings of our settings, ``settings`` holds those
that have no parameter of their own, and every fit is a run of :func:`distbelief.train`.
``cluster=None`` is the cluster of this process (:mod:`distbelief.coordinator.cluster.shared`),
which all estimators share, and which is started by the first fit.

A search with ``n_jobs`` above 1 fits in other processes. Each of them starts a cluster of its own;
with ``cluster=`` a :class:`distbelief.LocalCluster`, all of them use that one.
"""

from __future__ import annotations

from distbelief.app.settings.extras import needed

needed("sklearn", "the estimators need scikit-learn", "sklearn")

from distbelief.coordinator.estimators.downpour import (  # noqa: E402
    DownpourClassifier,
    DownpourRegressor,
)
from distbelief.coordinator.estimators.hybrid import (  # noqa: E402
    HybridClassifier,
    HybridRegressor,
)
from distbelief.coordinator.estimators.sandblaster import (  # noqa: E402
    SandblasterClassifier,
    SandblasterRegressor,
)

__all__ = [
    "DownpourClassifier",
    "DownpourRegressor",
    "HybridClassifier",
    "HybridRegressor",
    "SandblasterClassifier",
    "SandblasterRegressor",
]
