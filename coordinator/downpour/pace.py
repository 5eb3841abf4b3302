"""What follows the workers at work, where these come and go: units are told as they go out.

A unit keeps what it was told: whoever takes it over makes the same pushes.
"""

from __future__ import annotations

from dataclasses import dataclass

from distbelief.app.client.servers import Servers
from distbelief.app.settings.config import RunConfig
from distbelief.coordinator.downpour.intervals import (
    MeasuredCosts,
    best_interval,
    longest_interval,
    longest_with,
    measure_costs,
)
from distbelief.coordinator.problem.problem import Problem


@dataclass(frozen=True)
class Pace:
    """The pace of a run's units; ``costs`` are known where intervals are ours to choose."""

    config: RunConfig
    costs: MeasuredCosts | None = None

    def told(self, workers: int) -> dict[str, int]:
        """What a unit is told that goes out while so many processes are at work.

        That is how many they are, by which rounds are weighed, and the steps between exchanges.
        """
        at_work = max(1, workers)
        if self.config.round_steps is not None:
            return {"at_work": at_work}
        if self.costs is None:
            return {}
        longest = longest_with(self.config.optimizer, at_work)
        return {"interval": best_interval(self.costs, longest, at_work)}


def pace_of(problem: Problem, servers: Servers) -> Pace | None:
    """The pace of a run in which workers come and go; None of any other."""
    config = problem.config
    if not config.comes_and_goes:
        return None
    if config.n_push != "auto" or longest_interval(config, tables=bool(problem.layout.tables)) == 1:
        return Pace(config)
    return Pace(config, measure_costs(problem, servers))
