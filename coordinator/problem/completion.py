"""Settings whose default depends on others, or on the data: with numbers, as a run is recorded."""

from __future__ import annotations

import math

from distbelief.app.models.model import Model, Task
from distbelief.app.models.scaling import Foldable
from distbelief.app.optimizers.registry import build_rule
from distbelief.app.settings.config import RunConfig

#: Those settings.
COMPLETED = ("learning_rate", "l2", "passes")

#: Minibatches without which a model has hardly begun to learn, however few the examples are.
FEWEST_STEPS = 400


def completed(config: RunConfig, model: Model, n_train: float) -> RunConfig:
    """The settings of a run that trains ``model`` on so many examples, or weights of such a sum."""
    rate = build_rule(config).arguments()[0]
    more = {"l2": l2_of(config, model, n_train), "passes": passes_of(config, n_train)}
    return config.model_copy(update={"learning_rate": rate, **more})


def l2_of(config: RunConfig, model: Model, n_train: float) -> float:
    """The L2 factor: a small one where none is given and the loss may have no minimum.

    Classes that can be told apart without error are told apart better and better by ever larger
    weights; one over the number of examples is what scikit-learn's C = 1 says.
    """
    if config.l2 is not None:
        return config.l2
    bounded = model.task is Task.REGRESSION or config.l1 > 0
    ours = isinstance(model, Foldable) and config.algorithm == "sandblaster"
    return 1 / n_train if ours and not bounded else 0.0


def passes_of(config: RunConfig, n_train: float) -> int:
    """The passes over the training data: enough for some steps where none are given."""
    if config.passes is not None or config.algorithm != "downpour":
        return config.n_passes
    in_a_pass = max(n_train / config.batch_size, config.replicas)
    return max(config.n_passes, math.ceil(FEWEST_STEPS / in_a_pass))
