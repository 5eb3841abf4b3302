"""The minimiser that a run's settings ask for."""

from __future__ import annotations

from distbelief.app.settings.config import RunConfig
from distbelief.coordinator.sandblaster import lbfgs, owlqn
from distbelief.coordinator.sandblaster.descent import DescentState, Minimiser, Settings
from distbelief.coordinator.sandblaster.owlqn import OrthantSpace


def minimiser(space: OrthantSpace, start: str | DescentState, config: RunConfig) -> Minimiser:
    """OWL-QN if there is an L1 term, else L-BFGS."""
    settings = Settings(
        config.history, config.iterations, config.gradient_tolerance, config.decrease_tolerance
    )
    if config.l1:
        return owlqn.minimise(space, start, settings, config.l1)
    return lbfgs.minimise(space, start, settings)
