"""Waits that no CPU second explains, chosen so that a simulation is as fast as what was seen.

A thread that an answer has come for is woken up, and wants a core, and the interpreter, which the
computing thread has. Nothing that was measured apart tells how long that takes; the throughput of
the whole does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from distbelief.coordinator.planning.assumptions import Assumptions
from distbelief.coordinator.planning.calibration import Calibration, SeenRate
from distbelief.coordinator.planning.costs import Waits
from distbelief.coordinator.planning.forecast import Forecaster

#: Halvings of what a wait may be: a thousandth of it is left.
HALVINGS = 10

#: A simulation as near as this is as fast as what was seen.
MET = 0.02


def with_waits(calibration: Calibration, algorithm: str) -> Calibration:
    """With the waits by which the fleets that were seen are as fast as they were.

    What one process did tells the wait for all; what several did, the longer one where all cores
    are busy. A wait is 0 if the simulation without any is no faster; then what was seen stays a
    check of it, and so does what more processes than cores did.
    """
    seen = [each for each in calibration.checks if each.algorithm == algorithm]
    fewest = min(seen, key=_replicas)
    cores = calibration.machines.cores if calibration.machines.embedded else math.inf
    most = max(
        (each for each in seen if each.replicas <= max(cores, fewest.replicas)), key=_replicas
    )
    fitted = _fitted(calibration, fewest, lambda wait_s: Waits(wait_s, wait_s))
    if most.replicas > fewest.replicas:
        idle_s = _waits(fitted, algorithm).idle_s
        fitted = _fitted(fitted, most, lambda wait_s: Waits(idle_s, idle_s + wait_s))
    checks = tuple(
        replace(each, fitted=each.fitted or (each in seen and _is_met(fitted, each)))
        for each in calibration.checks
    )
    return replace(fitted, checks=checks)


def _fitted(
    calibration: Calibration, seen: SeenRate, waits_of: Callable[[float], Waits]
) -> Calibration:
    """The waits of a number, with which the simulation is as fast as what was seen."""
    low, high = 0.0, _longest(calibration, seen)
    found = _waiting(calibration, seen.algorithm, waits_of(low))
    if _rate(found, seen) <= seen.measured:
        return found
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        found = _waiting(calibration, seen.algorithm, waits_of(middle))
        if _rate(found, seen) > seen.measured:
            low = middle
        else:
            high = middle
    return found


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


def _waits(calibration: Calibration, algorithm: str) -> Waits:
    costs = calibration.sandblaster if algorithm == "sandblaster" else calibration.downpour
    assert costs is not None
    return costs.waits


def _waiting(calibration: Calibration, algorithm: str, waits: Waits) -> Calibration:
    if algorithm == "sandblaster":
        assert calibration.sandblaster is not None
        sandblaster = replace(calibration.sandblaster, waits=waits)
        return replace(calibration, sandblaster=sandblaster)
    assert calibration.downpour is not None
    return replace(calibration, downpour=replace(calibration.downpour, waits=waits))
