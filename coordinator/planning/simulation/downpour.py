"""Downpour on a simulated fleet."""

from __future__ import annotations

import numpy as np

from distbelief.coordinator.planning.calibration import Calibration, DownpourCosts
from distbelief.coordinator.planning.simulation.draws import drawn
from distbelief.coordinator.planning.simulation.exchanges import (
    OneHost,
    OwnHosts,
    ServerModel,
    exchange,
)
from distbelief.coordinator.planning.simulation.fleet import Fleet
from distbelief.coordinator.planning.simulation.outcome import FleetOutcome, limit_of
from distbelief.coordinator.planning.simulation.replica import Intervals, Replica
from distbelief.coordinator.planning.simulation.slowest import Slowest
from distbelief.coordinator.planning.simulation.timeline import SerialThread, Timeline

#: Steps that are simulated: at least as many in all, and pushes of each replica.
STEPS, PUSHES_EACH = 3_000, 3

#: The share of the steps after which it counts: queues fill first.
WARM_UP = 0.5


def simulate(
    calibration: Calibration, fleet: Fleet, intervals: Intervals, seed: int, steps: int = 0
) -> FleetOutcome:
    """The throughput of Downpour on a fleet, and what limits it.

    ``steps`` are those to simulate, 0 for as many as it takes.
    """
    assert calibration.downpour is not None
    wanted = steps or max(STEPS, PUSHES_EACH * intervals.n_push * fleet.replicas)
    world = _World(calibration, calibration.downpour, fleet, intervals, seed)
    return world.run(wanted)


class _World:
    """Everything that all replicas share."""

    def __init__(
        self,
        calibration: Calibration,
        costs: DownpourCosts,
        fleet: Fleet,
        intervals: Intervals,
        seed: int,
    ) -> None:
        self.timeline = Timeline()
        self.fleet = fleet
        self.intervals = intervals
        self.work = calibration.work
        self.rng = np.random.default_rng(seed)
        self.by_window = costs.by_window
        self.together = intervals.n_push == intervals.n_fetch and not costs.by_window
        numbers = calibration.layout("downpour").size
        self.push, self.fetch = (
            exchange(cost, fleet, numbers, self.rng, fleet.waits(costs.waits))
            for cost in (costs.both if self.together else costs.push, costs.fetch)
        )
        self.look = exchange(costs.fetch, fleet.asking_one(), 0, self.rng, fleet.waits(costs.waits))
        self.slowest = Slowest(fleet.replicas)
        self.hosts = [fleet.host(self.timeline) for _ in range(fleet.hosts)]
        one = self.hosts[0] if fleet.network is None else None
        self.servers: ServerModel = (
            OneHost(self.timeline, fleet, self.hosts[0])
            if fleet.network is None
            else OwnHosts(self.timeline, fleet, fleet.network)
        )
        self.coordinator = SerialThread(self.timeline, one)
        self.control = SerialThread(self.timeline, one)
        self.dispatch = calibration.dispatch
        self.turnaround = drawn(self.rng, self._idle_turnaround())
        self.pushes = 0
        self.steps = 0
        self.staleness: list[int] = []
        self.computed_s = 0.0
        self.held_s = 0.0
        self._replicas = [Replica(self, index, costs) for index in range(fleet.replicas)]

    def _idle_turnaround(self) -> list[float]:
        """The seconds of a unit's way in which nobody computes anything."""
        known = self.dispatch
        cpu_s = known.coordinator_s + known.control_s + known.main_s + known.process_s
        return [max(0.0, each - cpu_s) for each in known.turnaround_s]

    def run(self, steps: int) -> FleetOutcome:
        for replica in self._replicas:
            self.timeline.after(self.rng.random() * 1e-3, replica.go_on)
        first = round(WARM_UP * steps)
        self.timeline.run(lambda: self.steps < first)
        before = self._clocks()
        self.staleness.clear()
        self.timeline.run(lambda: self.steps < steps)
        return self._outcome(before, self._clocks())

    def _clocks(self) -> dict[str, float]:
        busy = self.servers.busy(1.0)
        return {
            "now": self.timeline.now,
            "steps": float(self.steps),
            "bytes": self.servers.moved,
            "cores": sum(each.busy_s() for each in self.hosts),
            "servers' CPU": self.servers.cpu_s(),
            "computing": self.computed_s,
            "slower replicas": self.held_s,
            "coordinator": self.coordinator.worked_s,
            "control server": self.control.worked_s,
            **busy,
        }

    def _outcome(self, before: dict[str, float], after: dict[str, float]) -> FleetOutcome:
        spent = {name: after[name] - before[name] for name in after}
        elapsed, steps, fleet = max(spent["now"], 1e-12), spent["steps"], self.fleet
        shared = {name: spent[name] / elapsed for name in self.servers.busy(1.0)}
        shared |= {name: spent[name] / elapsed for name in ("coordinator", "control server")}
        shared["cores"] = spent["cores"] / elapsed / fleet.cores / fleet.hosts
        own = {
            name: spent[name] / elapsed / fleet.replicas
            for name in ("computing", "slower replicas")
        }
        busy = {**shared, **own, "exchanges": max(0.0, 1 - sum(own.values()))}
        apart = 0.0 if fleet.network is None else spent["servers' CPU"]
        return FleetOutcome(
            rate=steps / elapsed,
            staleness=_quantiles(self.staleness),
            bytes_each=spent["bytes"] / steps,
            cpu_s_each=(spent["cores"] + apart) / steps,
            busy=busy,
            limit=limit_of(busy if fleet.network is None else _without_idle_cores(busy, fleet)),
        )


def _without_idle_cores(busy: dict[str, float], fleet: Fleet) -> dict[str, float]:
    """On a worker host with a core for each process, busy cores are processes that compute."""
    if fleet.processes > fleet.cores:
        return busy
    return {name: share for name, share in busy.items() if name != "cores"}


def _quantiles(staleness: list[int]) -> tuple[float, float]:
    if not staleness:
        return 0.0, 0.0
    middle, high = np.quantile(staleness, (0.5, 0.95))
    return float(middle), float(high)
