"""From the settings of a run to its update rule."""

from __future__ import annotations

from collections.abc import Callable

from distbelief.app.optimizers.adagrad import Adagrad
from distbelief.app.optimizers.adam import Adam
from distbelief.app.optimizers.ftrl import Ftrl
from distbelief.app.optimizers.momentum import Momentum
from distbelief.app.optimizers.rmsprop import RMSProp
from distbelief.app.optimizers.rule import Rule
from distbelief.app.optimizers.sgd import SGD
from distbelief.app.settings.sections import ObjectiveSettings

Settings = ObjectiveSettings


def build_rule(settings: Settings) -> Rule:
    return RULES[settings.optimizer](settings)


def _sgd(settings: Settings) -> Rule:
    return SGD(settings.learning_rate, settings.learning_rate_decay)


def _momentum(settings: Settings) -> Rule:
    return Momentum(settings.learning_rate, settings.learning_rate_decay, settings.momentum)


def _adagrad(settings: Settings) -> Rule:
    return Adagrad(
        settings.learning_rate,
        settings.learning_rate_decay,
        settings.epsilon or Adagrad.epsilon,
        settings.initial_accumulator,
    )


def _rmsprop(settings: Settings) -> Rule:
    return RMSProp(
        settings.learning_rate,
        settings.learning_rate_decay,
        settings.smoothing,
        settings.epsilon or RMSProp.epsilon,
    )


def _adam(settings: Settings) -> Rule:
    return Adam(
        settings.learning_rate,
        settings.learning_rate_decay,
        settings.beta1,
        settings.beta2,
        settings.epsilon or Adam.epsilon,
        settings.weight_decay,
    )


def _ftrl(settings: Settings) -> Rule:
    return Ftrl(settings.learning_rate, settings.ftrl_beta, settings.ftrl_l1, settings.ftrl_l2)


#: By the setting ``optimizer``.
RULES: dict[str, Callable[[Settings], Rule]] = {
    "sgd": _sgd,
    "momentum": _momentum,
    "adagrad": _adagrad,
    "rmsprop": _rmsprop,
    "adam": _adam,
    "ftrl": _ftrl,
}
