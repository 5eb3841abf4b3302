"""A timeline of events, and what takes time there: threads with a queue, cores that are shared."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from functools import partial

from distbelief.coordinator.planning.costs import Waits

Do = Callable[[], None]

#: CPU seconds below which a thread has what it wanted: what rounding leaves.
NOTHING_S = 1e-12


class Timeline:
    """Events in the order of their times; those of one time in the order in which they came."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Do]] = []
        self._count = 0

    def at(self, time: float, do: Do) -> None:
        """Have something done at ``time``, or now if that is past."""
        self._count += 1
        heapq.heappush(self._events, (max(time, self.now), self._count, do))

    def after(self, seconds: float, do: Do) -> None:
        self.at(self.now + seconds, do)

    def run(self, goes_on: Callable[[], bool]) -> None:
        """Let events happen as long as ``goes_on`` says so, and there are any."""
        events = self._events
        while events and goes_on():
            self.now, _, do = heapq.heappop(events)
            do()


class Cores:
    """The cores of a host. Threads that compute share them equally (processor sharing).

    ``slowdown`` is how many times slower a core is while all others compute, too; ``crowding``,
    how many times slower all are because of how many take turns.
    """

    def __init__(
        self, timeline: Timeline, count: int, slowdown: float = 1.0, crowding: float = 1.0
    ) -> None:
        self._timeline = timeline
        self._count = count
        self._slowdown = slowdown
        self._crowding = crowding
        #: CPU seconds that a thread would have got which had computed from the beginning.
        self._got = 0.0
        self._at = 0.0
        self._threads: list[tuple[float, int, Do]] = []
        self._started = 0
        self._version = 0
        self._speed = 1.0
        self._in_use = 0
        self._busy_s = 0.0

    def burn(self, seconds: float, done: Do) -> None:
        """Compute for so many CPU seconds of a core with nothing beside it, then call ``done``."""
        self._go_on()
        self._started += 1
        heapq.heappush(self._threads, (self._got + seconds, self._started, done))
        self._plan()

    def wake(self, waits: Waits, do: Do) -> None:
        """Have something done once a thread that slept has woken up."""
        busy = self._in_use == self._count
        self._timeline.after(waits.busy_s if busy else waits.idle_s, do)

    def busy_s(self) -> float:
        """Core seconds in use so far."""
        return self._busy_s + (self._timeline.now - self._at) * self._in_use

    def _go_on(self) -> None:
        """Count what happened since the number of threads changed."""
        elapsed = self._timeline.now - self._at
        self._got += elapsed * self._speed
        self._busy_s += elapsed * self._in_use
        self._at = self._timeline.now

    def _plan(self) -> None:
        """Note the speed of each thread from now on, and when the next one is done."""
        threads = len(self._threads)
        self._version += 1
        self._in_use = min(threads, self._count)
        if not threads:
            return
        beside = (self._in_use - 1) / (self._count - 1) if self._count > 1 else 0.0
        slower = self._crowding * (1 + (self._slowdown - 1) * beside)
        self._speed = self._in_use / threads / slower
        left = (self._threads[0][0] - self._got) / self._speed
        self._timeline.after(left, partial(self._finish, self._version))

    def _finish(self, version: int) -> None:
        if version != self._version:
            return  # the number of threads has changed since
        self._go_on()
        ended = []
        while self._threads and self._threads[0][0] <= self._got + NOTHING_S:
            ended.append(heapq.heappop(self._threads)[2])
        self._plan()
        for done in ended:
            done()


class SerialThread:
    """One thread that takes jobs in their order: on cores it shares, or on a core of its own."""

    def __init__(self, timeline: Timeline, cores: Cores | None = None) -> None:
        self._timeline = timeline
        self._cores = cores
        self._jobs: deque[tuple[float, Do]] = deque()
        self._working = False
        self.worked_s = 0.0

    def take(self, seconds: float, done: Do) -> None:
        """PlannedWork for so many CPU seconds, after what came before, then call ``done``."""
        self._jobs.append((seconds, done))
        if not self._working:
            self._next()

    def _next(self) -> None:
        self._working = bool(self._jobs)
        if not self._working:
            return
        seconds, done = self._jobs.popleft()
        began = self._timeline.now

        def end() -> None:
            self.worked_s += self._timeline.now - began
            self._next()
            done()

        if self._cores is None:
            self._timeline.after(seconds, end)
        else:
            self._cores.burn(seconds, end)
