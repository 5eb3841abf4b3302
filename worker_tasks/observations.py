"""Observations of one kind of call: lists of numbers that go into a report."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

#: Of more observations than these, every so-manieth goes into the report.
MOST_SAMPLES = 200


@dataclass
class Timings:
    """Seconds that calls took by the clock, and of the CPU in their own thread."""

    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    @contextmanager
    def timed(self) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.thread_time()
        yield
        self.wall_s.append(time.perf_counter() - wall)
        self.cpu_s.append(time.thread_time() - cpu)

    def to_json(self) -> dict[str, Any]:
        return {"wall_s": sampled(self.wall_s), "cpu_s": sampled(self.cpu_s)}


def sampled(values: Sequence[float]) -> list[float]:
    """At most ``MOST_SAMPLES`` of the values, evenly, with the digits that mean something."""
    every = max(1, math.ceil(len(values) / MOST_SAMPLES))
    return [float(f"{value:.5g}") for value in values[::every]]


def until(seconds: float, check: Callable[[], None], least: int = 3) -> Iterator[int]:
    """Numbers from 0 on, for so many seconds, and at least ``least`` of them.

    ``check`` is called before each and may raise to stop.
    """
    deadline, number = time.monotonic() + seconds, 0
    while number < least or time.monotonic() < deadline:
        check()
        yield number
        number += 1
