"""Every update rule, with settings that the tests choose."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from pydantic.fields import FieldInfo

from distbelief.app.optimizers.outer import OUTER
from distbelief.app.optimizers.registry import NAMES, OPTIMIZERS, build_rule
from distbelief.app.optimizers.rule import Rule
from distbelief.app.settings.sections import ObjectiveSettings

#: Replicas of outer rules: what comes third may be another thing than what came before.
ARRIVALS = 3

SHARES = st.sampled_from([0.0, 0.5, 0.9, 0.999]) | st.floats(0, 1, exclude_max=True)
PENALTIES = st.sampled_from([0.0, 1e-3, 0.7, 1e3])
#: Values of settings whose bounds say too little of what is worth trying.
CHOSEN: dict[str, st.SearchStrategy[Any]] = {
    "learning_rate": st.floats(1e-6, 1e3),
    "learning_rate_decay": st.just(0.0) | st.floats(1e-6, 10),
    "epsilon": st.sampled_from([1e-30, 1e-10, 1e-3]),
    "initial_accumulator": st.sampled_from([0.0, 1e-40, 0.1, 3.0]),
}


def rule_of(name: str, **settings: Any) -> Rule:
    if name in OPTIMIZERS:
        return build_rule(ObjectiveSettings.model_validate({"optimizer": name, **settings}))
    known = {"learning_rate": 1.0, "momentum": 0.9} | settings
    return OUTER[name](known["learning_rate"], known["momentum"], ARRIVALS)  # type: ignore[index]


def some_rules(**settings: Any) -> list[Rule]:
    """One of each, with these settings where it has them."""
    return [rule_of(name, **settings) for name in NAMES]


def values_of(field: FieldInfo) -> st.SearchStrategy[float]:
    """Numbers that a setting may be, by its bounds."""
    bounds = {
        bound: getattr(each, bound)
        for each in field.metadata
        for bound in ("ge", "gt", "le", "lt")
        if hasattr(each, bound)
    }
    if bounds == {"ge": 0, "lt": 1}:
        return SHARES
    return PENALTIES if bounds == {"ge": 0} else st.floats(1e-3, 1e3)


def hyperparameters(name: str) -> list[str]:
    """The settings that the rule goes by."""
    usual = rule_of(name)
    others = ObjectiveSettings.model_fields.keys() - {"optimizer"}
    return sorted(each for each in others if rule_of(name, **{each: 0.25}) != usual)


def any_of(name: str) -> st.SearchStrategy[Rule]:
    """The rule with anything that its settings may be."""
    fields = ObjectiveSettings.model_fields
    values = {each: CHOSEN.get(each, values_of(fields[each])) for each in hyperparameters(name)}
    return st.builds(rule_of, st.just(name), **values)


RULES = {name: any_of(name) for name in NAMES}
