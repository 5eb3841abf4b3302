"""The base of all estimators: checks, labels, and a fit that is a run."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from distbelief.app.datasets.examples.weights import written
from distbelief.app.datasets.formats.options import TARGET_OPTIONS
from distbelief.app.datasets.targets.wanted import REGRESSION
from distbelief.app.errors import ConfigError
from distbelief.coordinator.api import Cluster, Result, train
from distbelief.coordinator.cluster.shared import shared_cluster
from distbelief.coordinator.estimators.features import (
    by_column,
    checked_examples,
    checked_features,
    warn_of_columns,
)
from distbelief.coordinator.inference.trained_model import TrainedModel

Array = npt.NDArray[Any]

#: Parameters that are no settings of the same name.
OTHERS = ("random_state", "cluster", "settings", "warm_start", "early_stopping", "class_weight")

#: What ``settings`` must not hold, and what says it instead.
ELSEWHERE = {
    "cluster": "it is a parameter of its own",
    "algorithm": "the class of the estimator says it",
    "data": "fit is given X and y",
    **dict.fromkeys(("target", *TARGET_OPTIONS), "y is as it is"),
}

SEEDS = 2**31 - 1

#: Models of one kind of targets only, for whom an estimator of the other kind is an error.
CLASSIFYING = ("logistic", "softmax")
PREDICTING = ("linear",)


class Estimator(BaseEstimator):
    """Base of all estimators.

    Attributes:
        model_: the trained model, after a fit.
        result_: of the last training: its history, figures and timings.
        n_features_in_: features of the examples.
        feature_names_in_: names of the columns, if ``X`` was a DataFrame; ``model_`` knows them.
            Columns of a DataFrame mean what they would in a CSV file, see docs/guide.md.
        coef_: of the linear models, for the columns as they are, 0 for those that were left out;
            shapes are scikit-learn's. With categories they are those of the model's features.
        intercept_: likewise.
        n_iter_: iterations, or passes over the data, of the last training.
        loss_curve_: the mean loss in training, a number for each pass in which units ended; of
            Sandblaster the objective where it began and after each iteration.
    """

    algorithm: str
    random_state: Any
    cluster: Cluster | None
    settings: Mapping[str, Any] | None
    warm_start: bool
    #: Models that are for the other kind of targets.
    others: tuple[str, ...]
    model_: TrainedModel
    result_: Result

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = self._takes_gaps
        return tags

    def _processes(self) -> int:
        """Worker processes that a training can use."""
        return os.cpu_count() or 1

    def _validate(self, features: Any, targets: Any, *, reset: bool) -> tuple[Any, Array]:
        return checked_examples(self, features, targets, reset=reset, gaps=self._takes_gaps)

    @property
    def _takes_gaps(self) -> bool:
        return bool(self._column_options()["missing"] != "error")

    def _column_options(self) -> dict[str, Any]:
        """Options of the columns of ``X``; what would stand for a missing number is always kept."""
        return {"missing": "mean", **dict(self.settings or {}).get("data_options", {})}

    def _train(
        self,
        features: Any,
        targets: Array,
        options: dict[str, Any],
        weights: Any = None,
        **more: Any,
    ) -> Self:
        """Train; of the examples' ``weights`` only their sizes beside one another count."""
        settings, of_columns = dict(self.settings or {}), self._column_options()
        settings.pop("data_options", None)
        for name in (*settings, *of_columns):
            if name in ELSEWHERE:
                raise ConfigError(f"settings must not hold {name}: {ELSEWHERE[name]}")
        given = self.get_params(deep=False)
        if given["model"] in self.others:
            raise ConfigError(f"model {given['model']} is not for a {type(self).__name__}")
        own = {name: value for name, value in given.items() if name not in OTHERS}
        if "replicas" in own:  # each needs an example
            own["replicas"] = min(own["replicas"], features.shape[0])
        data: Any = (features, targets)
        if weights is not None:
            data += (_check_sample_weight(weights, features, ensure_non_negative=True),)
        if isinstance(self, Classifier):
            more |= self._of_classes()
        seed = int(check_random_state(self.random_state).randint(SEEDS))
        with tempfile.TemporaryDirectory(prefix="distbelief-") as folder:
            if self.warm_start and hasattr(self, "model_") and "init_from" not in more:
                more["init_from"] = self._saved_in(folder)
            self.result_ = train(
                cluster=self.cluster or shared_cluster(self._processes()),
                data=data,
                algorithm=self.algorithm,
                data_options=of_columns | options,
                **({"folder": folder, "seed": seed} | own | more | settings),
            )
        self.model_ = self.result_.model
        warn_of_columns(self.model_)
        return self

    def _saved_in(self, folder: str) -> str:
        """The model so far, in a file to start from."""
        path = Path(folder) / "before.safetensors"
        self.model_.save(path)
        return str(path)

    @property
    def coef_(self) -> Array:
        weights, _ = self._linear
        return weights

    @property
    def intercept_(self) -> Any:
        _, bias = self._linear
        return bias

    @property
    def n_iter_(self) -> int:
        check_is_fitted(self)
        return self._count_iterations()

    @property
    def loss_curve_(self) -> list[float]:
        check_is_fitted(self)
        return self._losses()

    def _count_iterations(self) -> int:
        raise NotImplementedError

    def _losses(self) -> list[float]:
        raise NotImplementedError

    @property
    def _linear(self) -> tuple[Array, Any]:
        """Coefficients and intercepts; AttributeError unless the model is a linear one."""
        if getattr(self, "model_", None) is None:
            raise AttributeError(f"this {type(self).__name__} is not fitted yet")
        parameters = self.model_.parameters
        if set(parameters) != {"weights", "bias"}:
            raise AttributeError("only linear models have coefficients")
        found = by_column(self.model_, parameters["weights"].T, parameters["bias"])
        return self._shaped(*found)

    def _shaped(self, weights: Array, bias: Array) -> tuple[Array, Any]:
        return weights, bias

    def _features(self, features: Any) -> Any:
        check_is_fitted(self)
        return checked_features(self, features, gaps=self._takes_gaps)


class Classifier(ClassifierMixin, Estimator):
    """``classes_`` are the labels, in ascending order."""

    classes_: Array
    class_weight: Any
    others = PREDICTING

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


class Regressor(RegressorMixin, Estimator):
    others = CLASSIFYING

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
        return weights[0], float(bias[0])

    def _validate_regression(
        self, features: Any, targets: Any, *, reset: bool
    ) -> tuple[Any, Array, dict[str, Any]]:
        x, y = self._validate(features, targets, reset=reset)
        return x, y, {"task": REGRESSION}
