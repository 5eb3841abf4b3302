"""Whether the examples can be divided as the settings say."""

from __future__ import annotations

from distbelief.coordinator.downpour.units import UnitPlan
from distbelief.coordinator.problem.problem import Problem
from distbelief.coordinator.sandblaster.portion_count import portions_of


def check_division(problem: Problem) -> None:
    """Check that the examples can be cut into as many units, or portions, as the settings say.

    Raises:
        DataError: there are fewer of them than replicas.
        ConfigError: there are fewer than portions, or the warm start is too long.
    """
    if "downpour" in problem.config.stages:
        UnitPlan.of(problem)
    if "sandblaster" in problem.config.stages:
        portions_of(problem)
