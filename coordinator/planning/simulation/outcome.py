"""What a simulation found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: A resource that is in use for this share of the time is what all others wait for.
SATURATED = 0.85

#: Names of resources, as a person would say it.
RESOURCES: Mapping[str, str] = {
    "computing": "computing on the workers",
    "exchanges": "waiting for exchanges with the servers",
    "slower replicas": "waiting for slower replicas (max_staleness)",
    "between": "the coordinator's work between portions and evaluations",
    "cores": "the cores of the machine",
    "servers": "the parameter servers' threads",
    "server links": "the servers' links",
    "worker links": "the worker hosts' links",
    "coordinator": "the coordinator",
    "control server": "the control server",
    "main processes": "the workers' main processes",
    "portions": "the number of portions",
}


@dataclass(frozen=True)
class FleetOutcome:
    """A fleet at work.

    Args:
        rate: steps, or evaluations, a second.
        staleness: updates of others between fetch and push, median and 95th percentile.
        bytes_each: bytes to and from the servers for each step, or evaluation.
        cpu_s_each: CPU seconds of all machines for each.
        busy: the share of the time in which each resource is in use.
        limit: the resource that the rate depends on.
    """

    rate: float
    staleness: tuple[float, float]
    bytes_each: float
    cpu_s_each: float
    busy: Mapping[str, float]
    limit: str


def limit_of(busy: Mapping[str, float]) -> str:
    """The resource that everybody waits for.

    That is a shared one which is saturated; else what the workers themselves do most of the time,
    to compute or to wait.
    """
    own = {"computing", "exchanges", "slower replicas", "portions", "between"}
    shared = {name: share for name, share in busy.items() if name not in own}
    most = max(shared, key=shared.__getitem__, default="")
    if most and shared[most] >= SATURATED:
        return most
    mine = {name: busy[name] for name in own if name in busy}
    return max(sorted(mine), key=mine.__getitem__)
