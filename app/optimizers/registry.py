"""From the settings of a run to its update rule."""

from __future__ import annotations

from app.optimizers.adagrad import Adagrad
from app.optimizers.rule import Rule
from app.optimizers.sgd import SGD
from app.settings import ObjectiveSettings


def build_rule(settings: ObjectiveSettings) -> Rule:
    if settings.optimizer == "sgd":
        return SGD(settings.learning_rate, settings.learning_rate_decay)
    return Adagrad(
        settings.learning_rate,
        settings.learning_rate_decay,
        settings.epsilon,
        settings.initial_accumulator,
    )
