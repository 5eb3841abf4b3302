"""Goodput: steps that count, as a share of those that workers could have computed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from distbelief.worker_tasks.unit_report import UnitReport

#: A training that lasts no longer begins and ends more than it trains: nothing is told of it.
SHORT_S = 10.0


class Goodput:
    """The time for which worker processes were there, and what a step of theirs takes.

    What is missing to 1 are steps that were made again, units that died with their workers,
    workers that had nothing to do, started, scored held-out examples, or were held back for
    slower ones. Whatever replicas wait for within a step is part of the step.
    """

    def __init__(self) -> None:
        self._lasted_s = 0.0
        self._there_s = 0.0
        self._steps = 0
        self._steps_s = 0.0
        self._seen_at: float | None = None
        #: What was told last, None if nothing was known.
        self.latest: float | None = None

    def see(self, seconds: float, processes: int) -> None:
        """Note how many worker processes there were up to ``seconds`` of training."""
        if self._seen_at is not None:
            lasted_s = max(0.0, seconds - self._seen_at)
            self._lasted_s += lasted_s
            self._there_s += processes * lasted_s
        self._seen_at = seconds

    def add(self, report: UnitReport) -> None:
        """Take in the report of a unit."""
        self._steps += report.steps
        self._steps_s += max(0.0, report.seconds - report.waited_s)

    def share(self, counted: int) -> float:
        """The goodput, if so many steps count; NaN while nothing is known."""
        if self._lasted_s < SHORT_S or not (self._steps and self._there_s):
            return math.nan
        self.latest = min(1.0, counted * (self._steps_s / self._steps) / self._there_s)
        return self.latest

    def to_json(self) -> dict[str, Any]:
        return {
            "lasted_s": self._lasted_s,
            "there_s": self._there_s,
            "steps": self._steps,
            "steps_s": self._steps_s,
        }

    def load_state(self, document: Mapping[str, Any]) -> None:
        """Go on from what another coordinator noted."""
        self._lasted_s = document["lasted_s"]
        self._there_s = document["there_s"]
        self._steps = document["steps"]
        self._steps_s = document["steps_s"]
