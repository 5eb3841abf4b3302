"""Asks workers to measure, as units of a run of its own, and waits for their reports."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from distbelief.app.broker.messages import CALIBRATION
from distbelief.app.errors import WaitTimeout
from distbelief.coordinator.runs.driver import TICK_S
from distbelief.coordinator.training.resources import TrainingResources

#: Beyond the seconds that a measurement is to take: a worker opens the data, perhaps converts them.
LONGEST_S = 120.0

#: What of a report grows with its seconds, and is added up.
COUNTED = ("steps", "pushes")

Report = dict[str, Any]


class Asker:
    """Hands out units that measure, and collects what they report.

    Where others wait for the processes, a long measurement is made in several short units.
    """

    def __init__(self, resources: TrainingResources) -> None:
        self._session = resources.session
        self._hooks = resources.hooks
        self._limit_s = resources.session.config.task_seconds
        self._count = 0

    def one(self, measure: str, seconds: float = 0.0, **words: Any) -> Report:
        """The report of one process, whichever takes it."""
        return merged([each for (each,) in self._rounds(measure, [0], seconds, words)])

    def several(
        self, measure: str, subsets: Iterable[int], seconds: float, **words: Any
    ) -> list[Report]:
        """The reports of units for all of these subsets, sent at once.

        In several rounds, one for each process that reported.

        Raises:
            WaitTimeout: not all reported in time.
            WorkFailed: one failed as often as it may.
        """
        rounds = self._rounds(measure, [*subsets], seconds, words)
        if len(rounds) == 1:
            return rounds[0]
        by_process = defaultdict[str, list[Report]](list)
        for each in chain.from_iterable(rounds):
            by_process[each["process"]].append(each)
        return [merged(reports) for reports in by_process.values()]

    def _rounds(
        self, measure: str, subsets: Sequence[int], seconds: float, words: Report
    ) -> list[list[Report]]:
        count = max(1, math.ceil(seconds / self._limit_s))
        return [self._round(measure, subsets, seconds / count, words) for _ in range(count)]

    def _round(
        self, measure: str, subsets: Sequence[int], seconds: float, words: Report
    ) -> list[Report]:
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


def merged(reports: Sequence[Report]) -> Report:
    """One report of several in a row: lists go on, counts add up, a rate is the mean."""
    *_, last = reports
    made = dict(last)
    for name, value in last.items():
        values = [each[name] for each in reports]
        if isinstance(value, dict):
            made[name] = merged(values)
        elif isinstance(value, list):
            made[name] = [*chain.from_iterable(values)]
        elif name in COUNTED:
            made[name] = sum(values)
        elif name == "rate":
            made[name] = sum(values) / len(values)
    return made
