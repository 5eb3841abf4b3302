"""Settings whose default depends on others, or on the data: with numbers, as a run is recorded."""

from __future__ import annotations

import math

from distbelief.app.models.model import Model, Task
from distbelief.app.models.scaling import Foldable
from distbelief.app.optimizers.outer import OuterSettings
from distbelief.app.optimizers.registry import build_rule
from distbelief.app.settings.config import RunConfig

#: Those settings.
COMPLETED = ("learning_rate", "l2", "passes")

#: The default L2 as the C of scikit-learn's LogisticRegression.
DEFAULT_C = 4

#: Minibatches without which a model has hardly begun to learn, however few the examples are.
FEWEST_STEPS = 400


def completed(config: RunConfig, model: Model, n_train: float) -> RunConfig:
    """The settings of a run that trains ``model`` on so many examples, or weights of such a sum."""
    rate = build_rule(config).arguments()[0]
    more = {"l2": l2_of(config, model, n_train), "passes": passes_of(config, n_train)}
    counted = config.replicas != "auto"  # else they are when workers are
    outer = OuterSettings.of(config).to_json() if config.round_steps and counted else {}
    return config.model_copy(update={"learning_rate": rate, **more, **outer})


def l2_of(config: RunConfig, model: Model, n_train: float) -> float:
    """The L2 factor: a small one where none is given and the loss may have no minimum.

    Classes that can be told apart without error are told apart better and better by ever larger
    weights. scikit-learn's C = 1 takes more from standardised columns than small tables can spare;
    of C = 4 the log loss is lower on most, and much lower on some.
    """
    if config.l2 is not None:
        return config.l2
    bounded = model.task is Task.REGRESSION or config.l1 > 0
    ours = isinstance(model, Foldable) and "sandblaster" in config.stages
    return 1 / (DEFAULT_C * n_train) if ours and not bounded else 0.0


def passes_of(config: RunConfig, n_train: float) -> int:
    """The passes over the training data: enough for some steps where none are given."""
    if config.passes is not None or "downpour" not in config.stages:
        return config.n_passes
    in_a_pass = max(n_train / config.batch_size, config.n_streams)
    return max(config.n_passes, math.ceil(FEWEST_STEPS / in_a_pass))
