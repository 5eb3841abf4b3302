"""Waits that no CPU second explains, chosen so that a simulation is as fast as what was seen.

A thread that an answer has come for is woken up, and wants a core, and the interpreter, which the
computing thread has. Nothing that was measured apart tells how long that takes; the throughput of
the whole does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from distbelief.coordinator.planning.assumptions import Assumptions
from distbelief.coordinator.planning.calibration import (
    Calibration,
    DownpourCosts,
    SandblasterCosts,
    SeenRate,
)
from distbelief.coordinator.planning.costs import Waits
from distbelief.coordinator.planning.forecast import Forecaster

Costs = TypeVar("Costs", DownpourCosts, SandblasterCosts)

#: Halvings of what a wait may be: a thousandth of it is left.
HALVINGS = 10

#: A simulation as near as this is as fast as what was seen.
MET = 0.02


def with_waits(calibration: Calibration, algorithm: str) -> Calibration:
    """With the waits by which the fleets that were seen are as fast as they were.

    What one process did tells the wait for all; what several did, the longer one where all cores
    are busy; what more processes than cores did, how much longer it is for such a crowd. A wait is
    0 if the simulation without any is no faster; then what was seen stays a check of it.
    """
    seen = sorted(
        (each for each in calibration.checks if each.algorithm == algorithm), key=_replicas
    )
    machines = calibration.machines
    cores = max(machines.cores if machines.embedded else math.inf, seen[0].replicas)
    most = [each for each in seen if each.replicas <= cores][-1]
    fitted = _fitted(calibration, seen[0], _for_all)
    if most.replicas > seen[0].replicas:
        fitted = _fitted(fitted, most, _where_busy)
    for each in seen:
        if each.replicas > cores:
            fitted = _fitted(fitted, each, partial(_in_crowd, each.replicas / cores))
    checks = tuple(
        replace(each, fitted=each.fitted or (each in seen and _is_met(fitted, each)))
        for each in calibration.checks
    )
    return replace(fitted, checks=checks)


def _fitted(
    calibration: Calibration, seen: SeenRate, waiting: Callable[[Any, float], Any]
) -> Calibration:
    """With the wait, of costs that are ``waiting`` so, by which it is as fast as what was seen."""

    def with_wait(wait_s: float) -> Calibration:
        return _with(calibration, seen.algorithm, lambda costs: waiting(costs, wait_s))

    low, high = 0.0, _longest(calibration, seen)
    found = with_wait(low)
    if _rate(found, seen) <= seen.measured:
        return found
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        found = with_wait(middle)
        if _rate(found, seen) > seen.measured:
            low = middle
        else:
            high = middle
    return found


def _for_all(costs: Costs, wait_s: float) -> Costs:
    return replace(costs, waits=Waits(wait_s, wait_s))


def _where_busy(costs: Costs, wait_s: float) -> Costs:
    return replace(costs, waits=replace(costs.waits, busy_s=costs.waits.idle_s + wait_s))


def _in_crowd(per_core: float, costs: Costs, wait_s: float) -> Costs:
    crowds = (
        replace(each, wait_s=wait_s) if each.per_core == per_core else each for each in costs.crowds
    )
    return replace(costs, crowds=tuple(crowds))


def _replicas(seen: SeenRate) -> int:
    return seen.replicas


def _longest(calibration: Calibration, seen: SeenRate) -> float:
    """The time of a process between two exchanges: it cannot wait longer in one."""
    work = calibration.work
    each = work.portions if seen.algorithm == "sandblaster" else 1 / work.n_push
    return seen.replicas / seen.measured / each


def _rate(calibration: Calibration, seen: SeenRate) -> float:
    return Forecaster(calibration, Assumptions()).as_calibrated(seen)


def _is_met(calibration: Calibration, seen: SeenRate) -> bool:
    return abs(_rate(calibration, seen) / seen.measured - 1) <= MET


def _with(calibration: Calibration, algorithm: str, waiting: Callable[[Any], Any]) -> Calibration:
    if algorithm == "sandblaster":
        assert calibration.sandblaster is not None
        return replace(calibration, sandblaster=waiting(calibration.sandblaster))
    assert calibration.downpour is not None
    return replace(calibration, downpour=waiting(calibration.downpour))
