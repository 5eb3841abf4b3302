"""The driver of each algorithm, by the name that the settings have for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from distbelief.coordinator.downpour.driver import Downpour
from distbelief.coordinator.hybrid.driver import Hybrid
from distbelief.coordinator.problem.problem import Problem
from distbelief.coordinator.runs.driver import Driver, DriverHooks
from distbelief.coordinator.runs.session import Session
from distbelief.coordinator.sandblaster.driver import Sandblaster

DRIVERS: Mapping[str, Callable[[Session, Problem, DriverHooks], Driver]] = {
    "downpour": Downpour.on_servers,
    "sandblaster": Sandblaster.on_servers,
    "hybrid": Hybrid.on_servers,
}
