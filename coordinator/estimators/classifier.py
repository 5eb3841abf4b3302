"""What all classifiers are: labels, their probabilities and scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets

from distbelief.app.datasets.examples.weights import written
from distbelief.coordinator.estimators.base import Array, Estimator


class Classifier(ClassifierMixin, Estimator):
    """``classes_`` are the labels, in ascending order."""

    classes_: Array
    class_weight: Any
    others = ("linear",)

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on features (n_examples, n_features) and labels (n_examples,).

        An example counts as often as its weight says.
        """
        features, labels = self._validate(X, y, reset=True)
        return self._train(features, *self._encode(labels, None), weights=sample_weight)

    def predict(self, X: Any) -> Array:
        """The likeliest class of each example, shape (n_examples,)."""
        features = self._features(X)
        found: Array = self.classes_[self.model_.predict(features)]
        return found

    def predict_proba(self, X: Any) -> Array:
        """The probability of each of ``classes_``, shape (n_examples, n_classes)."""
        features = self._features(X)
        return self.model_.predict_proba(features)

    def _settings_for(self, features: Any) -> dict[str, Any]:
        return super()._settings_for(features) | self._of_classes()

    def _of_classes(self) -> dict[str, str]:
        """The setting for the weights of classes, whose names are their positions here."""
        wanted = self.class_weight
        if wanted is None or isinstance(wanted, str):
            return {} if wanted is None else {"class_weight": wanted}
        positions = self._positions(np.asarray(list(wanted)))
        return {"class_weight": written(dict(zip(positions, wanted.values(), strict=True)))}

    def predict_log_proba(self, X: Any) -> Array:
        """The logarithm of the probability of each of ``classes_``, shape (n_examples, n_classes).

        That of 0 is minus infinity.
        """
        with np.errstate(divide="ignore"):
            logarithms: Array = np.log(self.predict_proba(X))
        return logarithms

    def decision_function(self, X: Any) -> Array:
        """Log-odds of the second class of two, shape (n_examples,), or scores of each class.

        Those of linear models are linear functions of the features; of others they are the
        logarithms of the probabilities.
        """
        features = self._features(X)
        if hasattr(self, "coef_"):
            parameters = self.model_.parameters
            weights, bias = self._shaped(parameters["weights"].T, parameters["bias"])
            found = self.model_.features(features).astype(np.float64)
            scores: Array = found @ weights.T + bias
            return scores[:, 0] if scores.shape[1] == 1 else scores
        logarithms = self.predict_log_proba(X)
        return logarithms[:, 1] - logarithms[:, 0] if len(self.classes_) == 2 else logarithms

    def _shaped(self, weights: Array, bias: Array) -> tuple[Array, Any]:
        if len(weights) == len(self.classes_) == 2:  # softmax: only the difference counts
            return weights[1:] - weights[:1], bias[1:] - bias[:1]
        return weights, bias

    def _encode(self, labels: Array, classes: Sequence[Any] | None) -> tuple[Array, dict[str, Any]]:
        """The positions of ``labels`` among the ``classes``, by default all that occur."""
        check_classification_targets(labels)
        found = np.unique(labels if classes is None else np.asarray(classes))
        if self.warm_start and hasattr(self, "model_") and not np.array_equal(found, self.classes_):
            raise ValueError(f"warm_start goes on with the classes {self.classes_}, got {found}")
        self.classes_ = found
        n_classes = len(self.classes_)
        if n_classes < 2:
            raise ValueError(f"there must be at least 2 classes, the data have {n_classes} class")
        return self._positions(labels), {"classes": n_classes}

    def _positions(self, labels: Array) -> Array:
        unknown = np.setdiff1d(labels, self.classes_)
        if len(unknown):
            raise ValueError(f"the label {unknown[0]} is none of the classes {self.classes_}")
        return np.searchsorted(self.classes_, labels)
