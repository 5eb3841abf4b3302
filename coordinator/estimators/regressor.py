"""What all regressors are."""

from __future__ import annotations

from typing import Any, Self

from sklearn.base import RegressorMixin

from distbelief.app.datasets.targets.wanted import REGRESSION
from distbelief.coordinator.estimators.base import Array, Estimator


class Regressor(RegressorMixin, Estimator):
    others = ("logistic", "softmax")

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on features (n_examples, n_features) and values (n_examples,).

        An example counts as often as its weight says.
        """
        known = self._validate_regression(X, y, reset=True)
        return self._train(*known, weights=sample_weight)

    def predict(self, X: Any) -> Array:
        """The value of each example, shape (n_examples,)."""
        features = self._features(X)
        return self.model_.predict(features)

    def _shaped(self, weights: Array, bias: Array) -> tuple[Array, Any]:
        return weights[0], float(bias[0]) + self.model_.saved.schema.target_origin

    def _validate_regression(
        self, features: Any, targets: Any, *, reset: bool
    ) -> tuple[Any, Array, dict[str, Any]]:
        x, y = self._validate(features, targets, reset=reset)
        return x, y, {"task": REGRESSION}
