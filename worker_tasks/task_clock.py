"""How long a unit, a portion and a shift take, so that they are no longer than others can wait."""

from __future__ import annotations

import math
import statistics
import time

from distbelief.app.settings.config import RunConfig
from distbelief.worker_tasks.portion import CHUNK_EXAMPLES


class PushClock:
    """The time of a unit, which ends before the push that would be too much for it."""

    def __init__(self, config: RunConfig) -> None:
        self._limit_s = config.unit_time
        self._n_push = config.push_interval
        self._began = time.perf_counter()

    @property
    def left_s(self) -> float:
        """Seconds until its time is over."""
        return max(0.0, self._limit_s - self._spent_s)

    def is_over(self, steps: int) -> bool:
        """Whether, after so many steps, there is no time left for those of a push."""
        return steps > 0 and self._spent_s * (steps + self._n_push) / steps > self._limit_s

    @property
    def _spent_s(self) -> float:
        return time.perf_counter() - self._began


class ShiftClock:
    """The time of a process that takes portions by itself, and begins none that is too much."""

    def __init__(self) -> None:
        self._began = self._last = time.monotonic()
        self._longest_s = 0.0

    def note_portion(self) -> None:
        """Note that another portion is over."""
        now = time.monotonic()
        self._longest_s = max(self._longest_s, now - self._last)
        self._last = now

    def is_over(self, limit_s: float) -> bool:
        """Whether another portion, as long as the longest so far, would end after the limit."""
        return self._last - self._began + self._longest_s > limit_s


class TooLong(Exception):
    """A portion has taken its time and is not done; ``whole_s`` is what all of it would take."""

    def __init__(self, whole_s: float) -> None:
        super().__init__(f"the portion would take {whole_s:.3g} s")
        self.whole_s = whole_s


class ChunkClock:
    """The seconds that the chunks of a portion take.

    What all of them would take follows from the median of those that are done: one in which this
    process was stopped tells nothing of the others.

    Args:
        limit_s: after so many seconds the portion is cut short.
        n_examples: those of the portion.
    """

    def __init__(self, limit_s: float, n_examples: int) -> None:
        self._limit_s = limit_s
        self._n_chunks = math.ceil(n_examples / CHUNK_EXAMPLES)
        self._began = time.monotonic()
        self._last: float | None = None
        self._took: list[float] = []

    @property
    def spent_s(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._began

    def look(self) -> None:
        """Note that a chunk begins; raises TooLong if the time is over."""
        now = time.monotonic()
        if self._last is not None:
            self._took.append(now - self._last)
        self._last = now
        if self._took and now - self._began > self._limit_s:
            raise TooLong(statistics.median_low(self._took) * self._n_chunks)
