"""Downpour SGD for scikit-learn."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, Self

from sklearn.utils import Tags

from distbelief.coordinator.api import Cluster
from distbelief.coordinator.estimators.base import Array, Estimator
from distbelief.coordinator.estimators.classifier import Classifier
from distbelief.coordinator.estimators.regressor import Regressor

#: Settings that make the fits of one replica equal each time: nothing depends on the clock.
ALONE: Mapping[str, Any] = {"n_push": 1, "n_fetch": 1, "overlap": False}

#: What early_stopping means in scikit-learn: this share is held out, and so many passes in a row
#: without a better model end a fit.
VALIDATION, WITHOUT_CHANGE = 0.1, 10


class _Downpour(Estimator):
    algorithm = "downpour"
    replicas: int
    holdout: float
    patience: int | None
    early_stopping: bool
    settings: Mapping[str, Any] | None

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = self.replicas > 1  # they race
        return tags

    def _processes(self) -> int:
        return self.replicas

    def _settings_for(self, features: Any) -> dict[str, Any]:
        own = super()._settings_for(features)
        if self.replicas == 1:
            rounds = (self.settings or {}).get("round_steps")
            own |= {"overlap": False} if rounds else ALONE
        if self.early_stopping:
            own |= {
                "holdout": self.holdout or VALIDATION,
                "patience": self.patience or WITHOUT_CHANGE,
                "evaluate_every": 1.0,
            }
        return own

    def _count_iterations(self) -> int:
        return max(1, round(float(self._units()[-1]["passes"])))

    def _losses(self) -> list[float]:
        """Of the units that ended in each pass."""
        by_pass = dict[int, tuple[float, int]]()
        for unit in self._units():
            number = math.ceil(unit["passes"])
            loss, n_examples = by_pass.get(number, (0.0, 0))
            by_pass[number] = loss + unit["loss_sum"], n_examples + unit["examples"]
        return [loss / n for loss, n in by_pass.values() if n]

    def _units(self) -> list[Mapping[str, Any]]:
        return [event.fields for event in self.result_.history if event.kind == "unit"]

    def _go_on(
        self, features: Any, targets: Array, options: dict[str, Any], weights: Any = None
    ) -> Self:
        """One pass over more examples, from where the parameters and accumulators are."""
        with tempfile.TemporaryDirectory(prefix="distbelief-") as folder:
            more: dict[str, Any] = {"passes": 1}
            if hasattr(self, "model_"):
                more["init_from"] = self._saved_in(folder)
            return self._train(features, targets, options, weights, whole=False, **more)


class DownpourClassifier(_Downpour, Classifier):
    """Asynchronous SGD on several workers; softmax regression, networks, ...

    Args:
        model: mlp, softmax, logistic (two classes), fm, wide_deep, or your own.
        hidden: units of each hidden layer (mlp).
        activation: relu, tanh or sigmoid (mlp).
        optimizer: update rule on the servers, by its name (docs/configuration.md lists them).
        learning_rate: of the optimizer, by default its own.
        l2: adds l2/2 * |weights|^2 to the mean loss.
        batch_size: examples in a minibatch.
        passes: over the training data, at most; by default 40, and more where these would be less
            than 400 minibatches.
        replicas: workers that train at once. They race, so that no two fits are the same; with
            one alone, which overlaps nothing, they are.
        holdout: share of the examples that decides which parameters are the best.
        patience: evaluations on these without a better one after which a fit ends.
        early_stopping: hold out a tenth, evaluate after each pass, and end after 10 without a
            better model; ``holdout`` and ``patience`` say otherwise.
        warm_start: fit goes on from the parameters of the fit before.
        class_weight: balanced, or a dictionary of weights by class.
        random_state: of initial values, split and order; or ``settings={"seed": 3}``.
        cluster: where to train, see :func:`distbelief.train`.
        settings: further settings by name; ``{"data_options": {"missing": "median"}}`` says how
            columns of ``X`` are read.
    """

    def __init__(
        self,
        model: str = "mlp",
        *,
        hidden: tuple[int, ...] = (64,),
        activation: str = "relu",
        optimizer: str = "adagrad",
        learning_rate: float | None = None,
        l2: float = 0.0,
        batch_size: int = 32,
        passes: int | None = None,
        replicas: int = 2,
        holdout: float = 0.0,
        patience: int | None = None,
        early_stopping: bool = False,
        warm_start: bool = False,
        class_weight: Any = None,
        random_state: Any = None,
        cluster: Cluster | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.hidden = hidden
        self.activation = activation
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.l2 = l2
        self.batch_size = batch_size
        self.passes = passes
        self.replicas = replicas
        self.holdout = holdout
        self.patience = patience
        self.early_stopping = early_stopping
        self.warm_start = warm_start
        self.class_weight = class_weight
        self.random_state = random_state
        self.cluster = cluster
        self.settings = settings

    def partial_fit(
        self, X: Any, y: Any, classes: Sequence[Any] | None = None, sample_weight: Any = None
    ) -> Self:
        """Go once over more examples; the first call must name all ``classes``."""
        first = not hasattr(self, "model_")
        if first and classes is None:
            raise ValueError("the first call of partial_fit must name all classes")
        features, labels = self._validate(X, y, reset=first)
        if first:
            return self._go_on(features, *self._encode(labels, classes), sample_weight)
        options = {"classes": len(self.classes_)}
        return self._go_on(features, self._positions(labels), options, sample_weight)


class DownpourRegressor(_Downpour, Regressor):
    """Asynchronous SGD on several workers; linear regression, a network, ...

    Args: as :class:`DownpourClassifier`; ``model`` is linear, mlp, fm, or your own, and ``rank``
    the factors of a feature (fm).
    """

    def __init__(
        self,
        model: str = "linear",
        *,
        rank: int = 8,
        optimizer: str = "adagrad",
        learning_rate: float | None = None,
        l2: float = 0.0,
        batch_size: int = 32,
        passes: int | None = None,
        replicas: int = 2,
        holdout: float = 0.0,
        patience: int | None = None,
        early_stopping: bool = False,
        warm_start: bool = False,
        random_state: Any = None,
        cluster: Cluster | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.rank = rank
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.l2 = l2
        self.batch_size = batch_size
        self.passes = passes
        self.replicas = replicas
        self.holdout = holdout
        self.patience = patience
        self.early_stopping = early_stopping
        self.warm_start = warm_start
        self.random_state = random_state
        self.cluster = cluster
        self.settings = settings

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Go once over more examples."""
        known = self._validate_regression(X, y, reset=not hasattr(self, "model_"))
        return self._go_on(*known, sample_weight)
