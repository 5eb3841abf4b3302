"""Wall seconds, and the processor's seconds of this process and of all that it started."""

from __future__ import annotations

import time
from contextlib import suppress

import psutil


class Clock:
    """Runs from when it is made."""

    def __init__(self) -> None:
        self._cpu, self._wall = _cpu_seconds(), time.perf_counter()

    @property
    def wall(self) -> float:
        return time.perf_counter() - self._wall

    @property
    def cpu(self) -> float:
        """Of the processes that are still there, and of those that they have seen end."""
        return _cpu_seconds() - self._cpu


def _cpu_seconds() -> float:
    me, total = psutil.Process(), 0.0
    for each in (me, *me.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            total += sum(each.cpu_times()[:4])  # user, system, and those of ended children
    return total
