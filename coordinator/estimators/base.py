"""The base of all estimators: checks, labels, and a fit that is a run."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from distbelief.app.datasets.formats.options import TARGET_OPTIONS
from distbelief.app.errors import ConfigError
from distbelief.coordinator.api import Cluster, trained
from distbelief.coordinator.cluster.shared import shared_cluster
from distbelief.coordinator.estimators.features import (
    by_column,
    checked_examples,
    checked_features,
    warn_of_columns,
)
from distbelief.coordinator.inference.trained_model import TrainedModel
from distbelief.coordinator.progress.callbacks import Callbacks
from distbelief.coordinator.result import Result

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
        given = dict(self.settings or {}).get("data_options", {})
        if not isinstance(given, Mapping):
            raise ConfigError(f"settings must not hold data_options: {given!r} is no table of them")
        return {"missing": "mean", **given}

    def _train(
        self,
        features: Any,
        targets: Array,
        options: dict[str, Any],
        weights: Any = None,
        *,
        whole: bool = True,
        **more: Any,
    ) -> Self:
        """Train; of the examples' ``weights`` only their sizes beside one another count.

        One that is not ``whole`` may be one of many that go on, and have learned nothing yet.
        """
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
        more = self._settings_for(features) | more
        seed = int(check_random_state(self.random_state).randint(SEEDS))
        with tempfile.TemporaryDirectory(prefix="distbelief-") as folder:
            if self.warm_start and hasattr(self, "model_") and "init_from" not in more:
                more["init_from"] = self._saved_in(folder)
            settings = {"folder": folder, "seed": seed} | own | more | settings
            settings |= {"algorithm": self.algorithm, "data_options": of_columns | options}
            where = self.cluster or shared_cluster(self._processes())
            warn = partial(warnings.warn, stacklevel=5)
            self.result_ = trained(None, where, {"data": data}, Callbacks(), settings, warn)
        self.model_ = self.result_.model
        self._tell()
        if whole and self.result_.warning:
            warnings.warn(self.result_.warning, ConvergenceWarning, stacklevel=3)
        return self

    def _settings_for(self, features: Any) -> dict[str, Any]:
        """Settings of the algorithm that do not have a parameter's name."""
        return {}

    def _tell(self) -> None:
        """Warn of what the last training made of the columns, or of how it ended."""
        warn_of_columns(self.model_)

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
