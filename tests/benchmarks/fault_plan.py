"""Faults that come again and again while a training goes on: some worker processes stand still."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class FaultPlan:
    """The first of the processes stands still for ``stopped_s``, and runs for ``running_s``."""

    name: str
    stopped_s: float
    running_s: float

    @property
    def slower(self) -> float:
        """How many times as long that process takes for its work."""
        return (self.stopped_s + self.running_s) / self.running_s


NONE = FaultPlan("no fault", 0.0, 1.0)
SLOWED = FaultPlan("one process five times slower", 0.08, 0.02)
#: Short beside a training of a second, long beside a portion or a minibatch.
PAUSED = FaultPlan("one process paused for 0.2 s of 0.4", 0.2, 0.2)


def pool_of(worker: int) -> list[psutil.Process]:
    """The processes that compute for a Celery worker, by its process id."""
    return sorted(psutil.Process(worker).children(), key=lambda each: int(each.pid))


@contextmanager
def injected(plan: FaultPlan, processes: Sequence[psutil.Process]) -> Iterator[None]:
    """Let the faults of a plan happen for as long as this is open."""
    if not plan.stopped_s:
        yield
        return
    over = threading.Event()

    def hurt() -> None:
        while not over.wait(plan.running_s):
            _send(processes[0], signal.SIGSTOP)
            over.wait(plan.stopped_s)
            _send(processes[0], signal.SIGCONT)

    thread = threading.Thread(target=hurt, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _send(process: psutil.Process, number: signal.Signals) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)
