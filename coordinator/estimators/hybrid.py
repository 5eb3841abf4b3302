"""The hybrid of Downpour and L-BFGS for scikit-learn."""

from __future__ import annotations

from sklearn.utils import Tags

from distbelief.coordinator.estimators.base import Estimator
from distbelief.coordinator.estimators.sandblaster import (
    SandblasterClassifier,
    SandblasterRegressor,
)


class _Hybrid(Estimator):
    algorithm = "hybrid"

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = True  # replicas race, and L-BFGS begins elsewhere each time
        return tags


class HybridClassifier(_Hybrid, SandblasterClassifier):
    """Downpour until its loss hardly falls, then batch L-BFGS from there to the minimum.

    Args: as :class:`SandblasterClassifier`, without ``l1``, which it refuses; those of Downpour
    are ``settings``, as in ``settings={"replicas": 4, "handover_decrease": 0.2}``.
    """


class HybridRegressor(_Hybrid, SandblasterRegressor):
    """Downpour until its loss hardly falls, then batch L-BFGS from there to the minimum.

    Args: as :class:`SandblasterRegressor`, without ``l1``, which it refuses; those of Downpour are
    ``settings``.
    """
