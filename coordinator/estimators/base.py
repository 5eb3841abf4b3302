"""The base of all estimators: checks, labels, and a fit that is a run."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from distbelief.app.datasets.formats.frames import named
from distbelief.app.datasets.targets.wanted import REGRESSION
from distbelief.app.errors import ConfigError
from distbelief.coordinator.api import Cluster, Result, train
from distbelief.coordinator.cluster.shared import shared_cluster
from distbelief.coordinator.inference.trained_model import TrainedModel

Array = npt.NDArray[Any]

#: Parameters that are no settings of the same name.
OTHERS = ("random_state", "cluster", "settings")

#: What ``settings`` must not hold, and what says it instead.
ELSEWHERE = {
    "seed": "random_state is the seed",
    "cluster": "it is a parameter of its own",
    "algorithm": "the class of the estimator says it",
    "data": "fit is given X and y",
    "data_options": "X and y are as they are",
}

SEEDS = 2**31 - 1

#: The features that are taken.
KINDS: Mapping[str, Any] = {"accept_sparse": "csr", "dtype": (np.float32, np.float64)}


class Estimator(BaseEstimator):
    """Base of all estimators.

    Attributes:
        model_: the trained model, after a fit.
        result_: of the last training: its history, figures and timings.
        n_features_in_: features of the examples.
        feature_names_in_: names of the columns, if ``X`` was a DataFrame; ``model_`` knows them.
    """

    algorithm: str
    random_state: Any
    cluster: Cluster | None
    settings: Mapping[str, Any] | None
    model_: TrainedModel
    result_: Result

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _processes(self) -> int:
        """Worker processes that a training can use."""
        return os.cpu_count() or 1

    def _validate(self, features: Any, targets: Any, *, reset: bool) -> tuple[Any, Array]:
        numeric = isinstance(self, RegressorMixin)
        x, y = validate_data(self, features, targets, reset=reset, y_numeric=numeric, **KINDS)
        return x, y

    def _train(self, features: Any, targets: Array, options: dict[str, Any], **more: Any) -> Self:
        settings = dict(self.settings or {})
        for name in settings:
            if name in ELSEWHERE:
                raise ConfigError(f"settings must not hold {name}: {ELSEWHERE[name]}")
        given = self.get_params(deep=False)
        own = {name: value for name, value in given.items() if name not in OTHERS}
        if "replicas" in own:  # each needs an example
            own["replicas"] = min(own["replicas"], features.shape[0])
        seed = int(check_random_state(self.random_state).randint(SEEDS))
        with tempfile.TemporaryDirectory(prefix="distbelief-") as folder:
            self.result_ = train(
                cluster=self.cluster or shared_cluster(self._processes()),
                data=(named(features, getattr(self, "feature_names_in_", None)), targets),
                algorithm=self.algorithm,
                seed=seed,
                data_options=options,
                **({"folder": folder} | own | more | settings),
            )
        self.model_ = self.result_.model
        return self

    def _features(self, features: Any) -> Any:
        check_is_fitted(self)
        return validate_data(self, features, reset=False, **KINDS)


class Classifier(ClassifierMixin, Estimator):
    """``classes_`` are the labels, in ascending order."""

    classes_: Array

    def fit(self, X: Any, y: Any) -> Self:
        """Train on features (n_examples, n_features) and labels (n_examples,)."""
        features, labels = self._validate(X, y, reset=True)
        return self._train(features, *self._encode(labels, None))

    def predict(self, X: Any) -> Array:
        """The likeliest class of each example, shape (n_examples,)."""
        features = self._features(X)
        found: Array = self.classes_[self.model_.predict(features)]
        return found

    def predict_proba(self, X: Any) -> Array:
        """The probability of each of ``classes_``, shape (n_examples, n_classes)."""
        features = self._features(X)
        return self.model_.predict_proba(features)

    def _encode(self, labels: Array, classes: Sequence[Any] | None) -> tuple[Array, dict[str, Any]]:
        """The positions of ``labels`` among the ``classes``, by default all that occur."""
        check_classification_targets(labels)
        self.classes_ = np.unique(labels if classes is None else np.asarray(classes))
        n_classes = len(self.classes_)
        if n_classes < 2:
            raise ValueError(f"there must be at least 2 classes, the data have {n_classes} class")
        return self._positions(labels), {"classes": n_classes}

    def _positions(self, labels: Array) -> Array:
        unknown = np.setdiff1d(labels, self.classes_)
        if len(unknown):
            raise ValueError(f"the label {unknown[0]} is none of the classes {self.classes_}")
        return np.searchsorted(self.classes_, labels)


class Regressor(RegressorMixin, Estimator):
    def fit(self, X: Any, y: Any) -> Self:
        """Train on features (n_examples, n_features) and values (n_examples,)."""
        return self._train(*self._validate_regression(X, y, reset=True))

    def predict(self, X: Any) -> Array:
        """The value of each example, shape (n_examples,)."""
        features = self._features(X)
        return self.model_.predict(features)

    def _validate_regression(
        self, features: Any, targets: Any, *, reset: bool
    ) -> tuple[Any, Array, dict[str, Any]]:
        x, y = self._validate(features, targets, reset=reset)
        return x, y, {"task": REGRESSION}
