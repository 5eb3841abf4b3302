"""Numbers over time in few points, whatever the length of a run."""

from __future__ import annotations

import math
from collections import deque

from distbelief.coordinator.views.snapshot import MOST_POINTS, Points, Speed

#: Speeds are over the last so many seconds, and over the first ones.
WINDOW_S = 10.0

#: Counts are noted this often; an own unit of work is longer.
NOTE_S = 0.25

#: A point of the series of speeds stands for at least so many seconds.
POINT_S = 1.0


class DownsampledSeries:
    """Means of equally many successive numbers: more of them each time that it is full."""

    def __init__(self, most: int = MOST_POINTS) -> None:
        self._most = most
        self._means: list[float] = []
        #: Numbers that a mean is of.
        self._each = 1
        self._sum = 0.0
        self._count = 0

    def add(self, value: float) -> None:
        """Go on with a number; one that is not finite is left out."""
        if not math.isfinite(value):
            return
        self._sum += value
        self._count += 1
        if self._count < self._each:
            return
        self._means.append(self._sum / self._count)
        self._sum = 0.0
        self._count = 0
        if len(self._means) == self._most:
            pairs = zip(self._means[::2], self._means[1::2], strict=True)
            self._means = [(a + b) / 2 for a, b in pairs]
            self._each *= 2

    @property
    def points(self) -> Points:
        rest = (self._sum / self._count,) if self._count else ()
        return (*self._means, *rest)


class Throughput:
    """Examples and steps per second: now, and in the first seconds of real work."""

    def __init__(self) -> None:
        self._notes: deque[tuple[float, int, float]] = deque()
        self._begin: tuple[float, int, float] | None = None
        self._speeds = DownsampledSeries()
        self._point_at = -math.inf
        self.now = Speed(examples=0.0, steps=0.0)
        self.first: Speed | None = None

    @property
    def points(self) -> Points:
        """Examples per second."""
        return self._speeds.points

    def begin_again(self, seconds: float) -> None:
        """Forget the counts so far: they begin at zero now, for another kind of work."""
        self._notes.clear()
        self._notes.append((seconds, 0, 0.0))
        self._begin = self.first = None

    def note(self, seconds: float, examples: int, steps: float, *, warming: bool) -> None:
        """Take counts after ``seconds`` of training.

        What is counted while the training warms up does not belong to its first seconds.
        """
        note, notes = (seconds, examples, steps), self._notes
        if notes and seconds - notes[-1][0] < NOTE_S:
            return
        begun = bool(notes) and examples > notes[-1][1]
        if not notes and seconds < WINDOW_S:  # else a coordinator before this one made them
            notes.append((0.0, 0, 0.0))
        notes.append(note)
        while len(notes) > 2 and seconds - notes[1][0] >= WINDOW_S:
            notes.popleft()
        self.now = _between(notes[0], note)
        if self._begin is None and begun and not warming:
            self._begin = note
        elif self._begin and self.first is None and seconds - self._begin[0] >= WINDOW_S:
            self.first = _between(self._begin, note)
        if seconds - self._point_at >= POINT_S and examples:
            self._speeds.add(self.now.examples)
            self._point_at = seconds


def _between(a: tuple[float, int, float], b: tuple[float, int, float]) -> Speed:
    seconds = b[0] - a[0]
    if seconds <= 0:
        return Speed(examples=0.0, steps=0.0)
    # Work that a server lost is made again: no speed is negative.
    examples, steps = max(0, b[1] - a[1]), max(0.0, b[2] - a[2])
    return Speed(examples=examples / seconds, steps=steps / seconds)
