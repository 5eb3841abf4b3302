"""Downpour on a simulated fleet: the loop of a replica, as it is, with its time made up."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from distbelief.coordinator.planning.calibration import Calibration, DownpourCosts
from distbelief.coordinator.planning.simulation.draws import drawn
from distbelief.coordinator.planning.simulation.exchanges import (
    OneHost,
    OwnHosts,
    ServerModel,
    carry_out,
    exchange,
)
from distbelief.coordinator.planning.simulation.fleet import Fleet
from distbelief.coordinator.planning.simulation.outcome import FleetOutcome, limit_of
from distbelief.coordinator.planning.simulation.timeline import Cores, Do, SerialThread, Timeline

#: Steps that are simulated: at least as many in all, and pushes of each replica.
STEPS, PUSHES_EACH = 3_000, 3

#: The share of the steps after which it counts: queues fill first.
WARM_UP = 0.5


@dataclass(frozen=True)
class Intervals:
    """Steps between pushes, and between fetches."""

    n_push: int
    n_fetch: int


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
            exchange(cost, fleet, numbers, self.rng, costs.waits)
            for cost in (costs.both if self.together else costs.push, costs.fetch)
        )
        self.hosts = [Cores(self.timeline, fleet.cores, fleet.slowdown) for _ in range(fleet.hosts)]
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
        self._replicas = [_Replica(self, index, costs) for index in range(fleet.replicas)]

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
        computing = spent["computing"] / elapsed / fleet.replicas
        busy = {**shared, "computing": computing, "exchanges": max(0.0, 1 - computing)}
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


class _Replica:
    """One replica: it computes, pushes and fetches, and ends a unit now and then.

    At most one push and one fetch are under way; the next one waits for it, and the replica with
    it. Without overlap it waits for each.
    """

    def __init__(self, world: _World, index: int, costs: DownpourCosts) -> None:
        self._world = world
        self._host = index // world.fleet.processes if world.fleet.network is not None else 0
        self._cores = world.hosts[self._host]
        trouble, rng = world.fleet.trouble, world.rng
        slow = trouble.factor if rng.random() < trouble.share else 1.0
        self._compute_s: Iterator[float] = drawn(rng, costs.steps[index % len(costs.steps)], slow)
        self._dies_at = rng.exponential(trouble.lives_s) if trouble.lives_s < math.inf else math.inf
        self._steps = 0
        self._left = int(rng.integers(1, world.work.unit_length + 1))
        self._pushing = self._fetching = False
        #: What to do when the push, or the fetch, that is waited for is there.
        self._after_push: list[Do] = []
        self._after_fetch: list[Do] = []
        #: The last push that the copy knows.
        self._base = 0
        self._began = 0.0
        #: Steps since the last push.
        self._unpushed = 0

    def go_on(self) -> None:
        """Begin the next step, or end the unit."""
        if self._left <= 0:
            self._once_pushed(self._end_unit)
        elif not self._world.together and self._steps % self._world.intervals.n_fetch == 0:
            self._begin_window()
        else:
            self._compute()

    def _begin_window(self) -> None:
        world = self._world
        if world.by_window and world.work.overlap and self._steps:
            self._once_fetched(self._compute)  # it was asked for a step before
        elif world.by_window or not world.work.overlap:
            self._fetch()
            self._once_fetched(self._compute)
        else:
            self._once_fetched(self._fetch_and_compute)

    def _fetch_and_compute(self) -> None:
        self._fetch()
        self._compute()

    def _compute(self) -> None:
        world = self._world
        ahead = world.by_window and world.work.overlap
        if ahead and (self._steps + 1) % world.intervals.n_fetch == 0:
            self._fetch()
        self._began = world.timeline.now
        self._cores.burn(next(self._compute_s), self._computed)

    def _computed(self) -> None:
        world = self._world
        world.computed_s += world.timeline.now - self._began
        self._unpushed += 1
        self._steps += 1
        self._left -= 1
        if self._steps % world.intervals.n_push == 0 or self._left <= 0:
            self._once_pushed(self._push)
        else:
            self.go_on()

    def _push(self) -> None:
        world = self._world
        self._pushing = True
        world.pushes += 1
        number, steps = world.pushes, self._unpushed
        self._unpushed = 0
        world.staleness.append(max(0, number - 1 - self._base))
        done = partial(self._pushed, number, steps)
        carry_out(self._cores, world.servers, self._host, world.push, done)
        if world.work.overlap:
            self.go_on()
        else:
            self._once_pushed(self.go_on)

    def _pushed(self, number: int, steps: int) -> None:
        """Steps count once the servers have them: at the start all replicas are a push ahead."""
        self._world.steps += steps
        self._pushing = False
        if self._world.together:
            self._base = number
        _call_all(self._after_push)

    def _fetch(self) -> None:
        if self._fetching:
            return
        self._fetching = True
        world = self._world
        done = partial(self._fetched, world.pushes)
        carry_out(self._cores, world.servers, self._host, world.fetch, done)

    def _fetched(self, number: int) -> None:
        self._fetching = False
        self._base = number
        _call_all(self._after_fetch)

    def _once_pushed(self, do: Do) -> None:
        _once(self._pushing, self._after_push, do)

    def _once_fetched(self, do: Do) -> None:
        _once(self._fetching, self._after_fetch, do)

    def _end_unit(self) -> None:
        """Report, and begin the next unit, or another process does after this one's death."""
        world = self._world
        self._left = world.work.unit_length
        known = world.dispatch
        wait_s = next(world.turnaround)
        if world.timeline.now >= self._dies_at:
            trouble = world.fleet.trouble
            wait_s += trouble.lease_s
            self._dies_at = world.timeline.now + wait_s + world.rng.exponential(trouble.lives_s)
        begin = partial(self._cores.burn, known.main_s + known.process_s, self._begin_unit)
        controlled = partial(world.control.take, known.control_s, begin)
        told = partial(world.coordinator.take, known.coordinator_s, controlled)
        world.timeline.after(wait_s, told)

    def _begin_unit(self) -> None:
        self._fetch()
        self._once_fetched(self._compute)


def _once(under_way: bool, waiting: list[Do], do: Do) -> None:
    if under_way:
        waiting.append(do)
    else:
        do()


def _call_all(waiting: list[Do]) -> None:
    ready = waiting[:]
    waiting.clear()
    for do in ready:
        do()
