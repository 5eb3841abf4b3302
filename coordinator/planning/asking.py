"""Asks workers to measure, as units of a run of its own, and waits for their reports."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from distbelief.app.broker.messages import CALIBRATION
from distbelief.app.errors import WaitTimeout
from distbelief.coordinator.runs.driver import TICK_S
from distbelief.coordinator.training.resources import TrainingResources

#: Beyond the seconds that a measurement is to take: a worker opens the data, perhaps converts them.
LONGEST_S = 120.0

Report = dict[str, Any]


class Asker:
    """Hands out units that measure, and collects what they report."""

    def __init__(self, resources: TrainingResources) -> None:
        self._session = resources.session
        self._hooks = resources.hooks
        self._count = 0

    def one(self, measure: str, seconds: float = 0.0, **words: Any) -> Report:
        """The report of one process, whichever takes it."""
        return self.several(measure, [0], seconds, **words)[0]

    def several(
        self, measure: str, subsets: Iterable[int], seconds: float, **words: Any
    ) -> list[Report]:
        """The reports of units for all of these subsets, sent at once.

        Raises:
            WaitTimeout: not all reported in time.
            WorkFailed: one failed as often as it may.
        """
        self._count += 1
        names = {f"{measure}-{self._count}-{subset}": subset for subset in subsets}
        for name, subset in names.items():
            specification = {"measure": measure, "seconds": seconds, "subset": subset, **words}
            self._session.dispatcher.submit(CALIBRATION, name, specification)
        reports: list[Report] = []
        deadline = time.monotonic() + 3 * seconds + LONGEST_S
        while len(reports) < len(names):
            reports += [each.report for each in self._session.dispatcher.collect(TICK_S)]
            self._hooks.check()
            if time.monotonic() > deadline:
                raise WaitTimeout(
                    f"{len(names) - len(reports)} of {len(names)} workers did not report what "
                    f"'{measure}' costs within {3 * seconds + LONGEST_S:.0f} s: are they busy with "
                    "other runs? Plan when they are idle"
                )
        return reports
