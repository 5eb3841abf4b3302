"""An update rule is three files of its name, and its name in the settings."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from distbelief.app.optimizers.registry import NAMES
from distbelief.app.optimizers.rule import decayed
from distbelief.app.store.native.sources import RULES, each_rule
from tests.rules import hyperparameters, rule_of

DECLARED = re.compile(r"^RULE\((\w+), (\d+), (\d+), \w+\)$", re.MULTILINE)


def test_every_rule_of_the_settings_has_its_three_files_and_there_are_no_others() -> None:
    wanted = {f"{name}.{ending}" for name in NAMES for ending in ("py", "lua", "h")}
    assert {path.name for path in RULES.iterdir()} - {"__pycache__"} == wanted | {"__init__.py"}


@pytest.mark.parametrize("name", NAMES)
def test_a_rule_goes_by_its_name_in_numpy_and_in_c(name: str) -> None:
    rule = rule_of(name)
    (declared,) = DECLARED.findall((RULES / f"{name}.h").read_text())
    of_its_own = len(rule.arguments()) - len(("rate", "decay"))
    assert rule.name == name
    assert declared == (name, str(len(rule.slots)), str(of_its_own))


@pytest.mark.parametrize("name", NAMES)
def test_a_rule_goes_by_settings_of_its_own_or_by_the_rate_alone(name: str) -> None:
    assert "learning_rate" in hyperparameters(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_slot_has_the_name_of_its_rule(name: str) -> None:
    """Else two rules would take one for their own in a saved model."""
    slots = rule_of(name).slots
    assert all(slot == name or slot.startswith(f"{name}_") for slot in slots)


@pytest.mark.parametrize("name", NAMES)
def test_the_rates_are_numbers_of_the_squares(name: str) -> None:
    rule, squares = rule_of(name, learning_rate=0.5), np.array([0.25, 1.0, 4.0])
    rates = rule.rates(squares, 3)
    assert rates.shape == squares.shape
    if rule.squares is None:
        assert rates.tolist() == [decayed(0.5, 0.0, 3)] * 3
    else:
        assert rule.squares in rule.slots
        assert (np.diff(rates) < 0).all()


def test_the_engine_is_built_of_every_rule(tmp_path: Path) -> None:
    listed = re.findall(r"X\((\w+)\)", each_rule())
    assert listed == sorted(NAMES)
    assert re.findall(r'^#include "(\w+)\.h"$', each_rule(), re.MULTILINE) == listed
