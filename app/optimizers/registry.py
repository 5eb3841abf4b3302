"""The update rules by their names: those that the setting ``optimizer`` allows.

Each is a module of its name in ``app/optimizers/rules``, with its script and its C beside it.
"""

from __future__ import annotations

from importlib import import_module
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import get_args

from distbelief.app.optimizers.rule import Rule
from distbelief.app.settings.sections import ObjectiveSettings

NAMES: tuple[str, ...] = get_args(ObjectiveSettings.model_fields["optimizer"].annotation)

PACKAGE = "distbelief.app.optimizers.rules"


def build_rule(settings: ObjectiveSettings) -> Rule:
    """The rule that the settings choose, with their hyper-parameters."""
    rule: Rule = import_module(f"{PACKAGE}.{settings.optimizer}").build(settings)
    return rule


def script_of(rule: Rule) -> Traversable:
    """The few lines of Lua that are the rule's own."""
    return files(PACKAGE) / f"{rule.name}.lua"
