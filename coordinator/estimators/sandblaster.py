"""Sandblaster L-BFGS for scikit-learn."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

from sklearn.exceptions import ConvergenceWarning

from distbelief.coordinator.api import Cluster
from distbelief.coordinator.estimators.base import Estimator
from distbelief.coordinator.estimators.classifier import Classifier
from distbelief.coordinator.estimators.regressor import Regressor
from distbelief.coordinator.progress.outcome import EndReason

#: Numbers in the features of which one worker makes a gradient in less time than it takes to
#: tell several.
SMALL = 1 << 18

#: Ends short of the minimum; the last line of the details is about the work, not the result.
ENDED_EARLY = (EndReason.ITERATIONS, EndReason.TIME)


class _Sandblaster(Estimator):
    algorithm = "sandblaster"

    def _settings_for(self, features: Any) -> dict[str, Any]:
        # The result is the minimum, whatever its score on held-out examples.
        own = {**super()._settings_for(features), "holdout": 0.0}
        if math.prod(features.shape) <= SMALL:
            own["portions"] = 1
        return own

    def _tell(self) -> None:
        super()._tell()
        result = self.result_
        if result.reason in ENDED_EARLY:
            said = "; ".join((result.reason, *result.details[:-1]))
            warnings.warn(said, ConvergenceWarning, stacklevel=4)

    def _count_iterations(self) -> int:
        return max(1, len(self._losses()) - 1)

    def _losses(self) -> list[float]:
        told = self.result_.history
        return [event.fields["loss"] for event in told if event.kind == "iteration"]


class SandblasterClassifier(_Sandblaster, Classifier):
    """Batch L-BFGS on several workers: the minimum of the objective, the same each time.

    Args:
        model: logistic (two classes), softmax, mlp, fm, wide_deep, or your own; by default
            logistic where there are two classes, else softmax.
        l1: adds l1 * |weights|_1 to the mean loss.
        l2: adds l2/2 * |weights|^2 to the mean loss; by default 1 / (4 * n) of n examples, as
            scikit-learn's C = 4 does. Of any C it is 1 / (C * n), and for softmax with two classes
            2 / (C * n), which has half of a weight on either side. Weights are those of
            standardised columns, unless ``settings`` has ``{"standardize": False}``.
        iterations: at most.
        gradient_tolerance: a fit has converged when the norm of the gradient is this share of the
            first one. One that ends before gives scikit-learn's ConvergenceWarning.
        class_weight, warm_start, random_state, cluster, settings: as :class:`DownpourClassifier`.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        l1: float = 0.0,
        l2: float | None = None,
        iterations: int = 100,
        gradient_tolerance: float = 1e-6,
        warm_start: bool = False,
        class_weight: Any = None,
        random_state: Any = None,
        cluster: Cluster | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.l1 = l1
        self.l2 = l2
        self.iterations = iterations
        self.gradient_tolerance = gradient_tolerance
        self.warm_start = warm_start
        self.class_weight = class_weight
        self.random_state = random_state
        self.cluster = cluster
        self.settings = settings

    def _settings_for(self, features: Any) -> dict[str, Any]:
        own = super()._settings_for(features)
        if self.model is None:
            own["model"] = "logistic" if len(self.classes_) == 2 else "softmax"
        return own


class SandblasterRegressor(_Sandblaster, Regressor):
    """Batch L-BFGS on several workers: least squares; the same each time.

    Args: as :class:`SandblasterClassifier`; ``model`` is linear, mlp, fm, or your own, and l2
    is 0 by default (for the alpha of Ridge: alpha / n).
    """

    def __init__(
        self,
        model: str = "linear",
        *,
        l1: float = 0.0,
        l2: float | None = None,
        iterations: int = 100,
        gradient_tolerance: float = 1e-6,
        warm_start: bool = False,
        random_state: Any = None,
        cluster: Cluster | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.l1 = l1
        self.l2 = l2
        self.iterations = iterations
        self.gradient_tolerance = gradient_tolerance
        self.warm_start = warm_start
        self.random_state = random_state
        self.cluster = cluster
        self.settings = settings
