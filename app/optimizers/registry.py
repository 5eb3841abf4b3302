"""The update rules by their names: those that the settings allow.

Each is a module of its name in ``app/optimizers/rules``, with its script and its C beside it.
"""

from __future__ import annotations

from importlib import import_module
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import get_args

from distbelief.app.optimizers.outer import OUTER, outer_rule
from distbelief.app.optimizers.rule import Rule
from distbelief.app.settings.config import RunConfig
from distbelief.app.settings.sections import ObjectiveSettings

#: Those of the setting ``optimizer``, and with the ones that are outer rules only.
OPTIMIZERS: tuple[str, ...] = get_args(ObjectiveSettings.model_fields["optimizer"].annotation)
NAMES: tuple[str, ...] = (*OPTIMIZERS, *(name for name in OUTER if name not in OPTIMIZERS))

PACKAGE = "distbelief.app.optimizers.rules"


def build_rule(settings: ObjectiveSettings) -> Rule:
    """The rule that the settings choose, with their hyper-parameters."""
    rule: Rule = import_module(f"{PACKAGE}.{settings.optimizer}").build(settings)
    return rule


def shard_rule(config: RunConfig) -> Rule:
    """The rule of a run's shards: the one that its settings choose; with rounds the outer one."""
    return build_rule(config) if config.round_steps is None else outer_rule(config)


def script_of(rule: Rule) -> Traversable:
    """The few lines of Lua that are the rule's own."""
    return files(PACKAGE) / f"{rule.name}.lua"
