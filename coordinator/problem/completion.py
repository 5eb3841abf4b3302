"""Settings whose default depends on others, or on the data: with numbers, as a run is recorded."""

from __future__ import annotations

from distbelief.app.models.model import Model, Task
from distbelief.app.models.scaling import Foldable
from distbelief.app.optimizers.registry import build_rule
from distbelief.app.settings.config import RunConfig

#: Those settings.
COMPLETED = ("learning_rate", "l2")


def completed(config: RunConfig, model: Model, n_train: float) -> RunConfig:
    """The settings of a run that trains ``model`` on so many examples, or weights of such a sum."""
    rate = build_rule(config).arguments()[0]
    return config.model_copy(update={"learning_rate": rate, "l2": l2_of(config, model, n_train)})


def l2_of(config: RunConfig, model: Model, n_train: float) -> float:
    """The L2 factor: a small one where none is given and the loss may have no minimum.

    Classes that can be told apart without error are told apart better and better by ever larger
    weights; one over the number of examples is what scikit-learn's C = 1 says.
    """
    if config.l2 is not None:
        return config.l2
    bounded = model.task is Task.REGRESSION or config.l1 > 0
    ours = isinstance(model, Foldable) and "sandblaster" in config.stages
    return 1 / n_train if ours and not bounded else 0.0
