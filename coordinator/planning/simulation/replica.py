"""The loop of a replica, as it is, with its time made up."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np

from distbelief.coordinator.planning.calibration import DispatchCosts, DownpourCosts, PlannedWork
from distbelief.coordinator.planning.simulation.draws import drawn
from distbelief.coordinator.planning.simulation.exchanges import Exchange, ServerModel, carry_out
from distbelief.coordinator.planning.simulation.fleet import Fleet
from distbelief.coordinator.planning.simulation.slowest import Slowest
from distbelief.coordinator.planning.simulation.timeline import Cores, Do, SerialThread, Timeline
from distbelief.worker_tasks.staleness import FIRST_PAUSE_S, LONGEST_PAUSE_S, PATIENCE_S

#: Seconds between two looks of the coordinator at who may go on.
HOLDING_TICK_S = 0.1


@dataclass(frozen=True)
class Intervals:
    """Steps between pushes, and between fetches."""

    n_push: int
    n_fetch: int


class World(Protocol):
    """Everything that all replicas share.

    ``look`` is the question how far the others are. ``pushes`` and ``steps`` are those so far,
    ``computed_s`` the time in which replicas computed, ``held_s`` that in which they waited for
    slower ones.
    """

    timeline: Timeline
    fleet: Fleet
    intervals: Intervals
    work: PlannedWork
    rng: np.random.Generator
    by_window: bool
    together: bool
    push: Exchange
    fetch: Exchange
    look: Exchange
    hosts: list[Cores]
    servers: ServerModel
    coordinator: SerialThread
    control: SerialThread
    dispatch: DispatchCosts
    turnaround: Iterator[float]
    slowest: Slowest
    pushes: int
    steps: int
    staleness: list[int]
    computed_s: float
    held_s: float


class Replica:
    """One replica: it computes, pushes and fetches, and ends a unit now and then.

    At most one push and one fetch are under way; the next one waits for it, and the replica with
    it. Without overlap it waits for each. With a bound on the staleness it waits for slower ones.
    """

    def __init__(self, world: World, index: int, costs: DownpourCosts) -> None:
        self._world = world
        self._index = index
        self._host = index // world.fleet.processes if world.fleet.network is not None else 0
        self._cores = world.hosts[self._host]
        trouble, rng = world.fleet.trouble, world.rng
        slow = trouble.factor if rng.random() < trouble.share else 1.0
        self._compute_s: Iterator[float] = drawn(rng, costs.steps[index % len(costs.steps)], slow)
        self._dies_at = rng.exponential(trouble.lives_s) if trouble.lives_s < math.inf else math.inf
        self._steps = 0
        self._left = int(rng.integers(1, world.work.unit_length + 1))
        self._unit_ends_at = world.work.unit_seconds or math.inf
        self._pushing = self._fetching = False
        #: What to do when the push, or the fetch, that is waited for is there.
        self._after_push: list[Do] = []
        self._after_fetch: list[Do] = []
        #: The last push that the copy knows.
        self._base = 0
        self._began = 0.0
        #: Steps since the last push, and pushes that were begun.
        self._unpushed = 0
        self._begun = 0
        #: How far the others were when they were looked at last, and since when it waits for them.
        self._known = 0
        self._held_from = 0.0

    def go_on(self) -> None:
        """Begin the next step, or end the unit."""
        between = self._steps % self._world.intervals.n_push == 0
        over = between and self._world.timeline.now >= self._unit_ends_at
        if self._left <= 0 or over:
            self._once_pushed(self._end_unit)
        elif between and not self._allowed():
            self._held_from = self._world.timeline.now
            self._look(partial(self._hold, self._held_from, FIRST_PAUSE_S))
        else:
            self._step()

    def _allowed(self) -> bool:
        """Whether the bound on staleness lets it begin another push, by what it knows."""
        bound = self._world.work.max_staleness
        return bound is None or self._begun - self._known <= bound

    def _look(self, then: Do) -> None:
        """Ask a server how far the others are."""

        def answered() -> None:
            slowest = self._world.slowest.but(self._index)
            self._known = self._begun if slowest is None else slowest
            then()

        carry_out(self._cores, self._world.servers, self._host, self._world.look, answered)

    def _hold(self, moved: float, pause_s: float) -> None:
        """Go on if it may; else look again later, or leave the process to others."""
        world, before = self._world, self._known
        if self._allowed() and pause_s == FIRST_PAUSE_S:
            self._step()
        elif self._allowed():
            world.held_s += world.timeline.now - self._held_from
            self._once_pushed(partial(self._once_fetched, self._anew))
        elif world.timeline.now - moved > PATIENCE_S or world.timeline.now >= self._unit_ends_at:
            world.held_s += world.timeline.now - self._held_from
            self._once_pushed(self._end_unit)
        else:

            def again() -> None:
                later = moved if self._known == before else world.timeline.now
                self._hold(later, min(2 * pause_s, LONGEST_PAUSE_S))

            world.timeline.after(pause_s, partial(self._look, again))

    def _anew(self) -> None:
        """Take over what the others did meanwhile: for steps on the copy, the rule's state, too."""
        work, intervals = self._world.work, self._world.intervals
        self._fetch()
        self._fetch_slots(work.slots if work.overlap or intervals.n_fetch > 1 else 0)

    def _fetch_slots(self, left: int) -> None:
        """Once the last fetch is there, fetch the slots that are left, one by one; then compute."""

        def fetch_next() -> None:
            self._fetch(base=self._base)
            self._fetch_slots(left - 1)

        self._once_fetched(fetch_next if left else self._compute)

    def _step(self) -> None:
        if not self._world.together and self._steps % self._world.intervals.n_fetch == 0:
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
        self._begun += 1
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
        self._world.slowest.note(self._index)
        self._pushing = False
        if self._world.together:
            self._base = number
        _call_all(self._after_push)

    def _fetch(self, base: int | None = None) -> None:
        """Fetch what all pushes so far have made, or what leaves the copy at its ``base``."""
        if self._fetching:
            return
        self._fetching = True
        world = self._world
        done = partial(self._fetched, world.pushes if base is None else base)
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
        world.timeline.after(wait_s, partial(self._once_in_reach, told))

    def _once_in_reach(self, do: Do) -> None:
        """The coordinator hands a unit out when its replica may go on."""
        slowest = self._world.slowest.but(self._index)
        self._known = self._begun if slowest is None else slowest
        if self._allowed():
            do()
        else:
            self._world.held_s += HOLDING_TICK_S
            self._world.timeline.after(HOLDING_TICK_S, partial(self._once_in_reach, do))

    def _begin_unit(self) -> None:
        self._unit_ends_at = self._world.timeline.now + (self._world.work.unit_seconds or math.inf)
        self._anew()


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
