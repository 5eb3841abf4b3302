"""The hybrid of Downpour and L-BFGS for scikit-learn."""

from __future__ import annotations

from distbelief.coordinator.estimators.sandblaster import (
    SandblasterClassifier,
    SandblasterRegressor,
)


class HybridClassifier(SandblasterClassifier):
    """Downpour until its loss hardly falls, then batch L-BFGS from there to the minimum.

    Args: as :class:`SandblasterClassifier`, without ``l1``, which it refuses; those of Downpour
    are ``settings``, as in ``settings={"replicas": 4, "handover_decrease": 0.1}``.
    """

    algorithm = "hybrid"


class HybridRegressor(SandblasterRegressor):
    """Downpour until its loss hardly falls, then batch L-BFGS from there to the minimum.

    Args: as :class:`SandblasterRegressor`, without ``l1``, which it refuses; those of Downpour are
    ``settings``.
    """

    algorithm = "hybrid"
