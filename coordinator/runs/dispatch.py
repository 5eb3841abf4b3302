"""Units in flight: sent as Celery messages, followed in the ledger, sent again when lost.

The ledger is read, not listened to: a wake-up, a message or a worker may be lost at any
time, and the state of the units in flight still says all that matters. Wake-ups only say of
which units it is worth reading at once; all are read twice a second.

A unit that loses its worker has not failed: workers are preempted. It has only where it loses one
after another and gets no further, as one that makes its worker crash does.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from distbelief.app.broker.messages import Arguments
from distbelief.app.errors import DataLost, ModelMissing, WaitTimeout, WorkerMismatch, WorkFailed
from distbelief.app.runs.damage import understood
from distbelief.app.runs.ledger import Ledger, LedgerUnit, UnitState
from distbelief.coordinator.progress.status import Outstanding
from distbelief.coordinator.runs.liveness import WorkerLiveness

#: ``send(task, run's unit, attempt)`` publishes a message for what will be the unit's attempt
#: of that number; ``waiting(task)`` are the messages not taken, None where nobody sees them.
Send = Callable[[str, str, int], None]
Waiting = Callable[[str], Set[Arguments] | None]

#: A worker that takes a message claims its unit at once; after so long it never will. One that
#: other work keeps busy may, where it takes messages before it is free, or nobody sees its queue:
#: the next message waits for twice as long.
TAKEN_S = 3.0

#: Seconds from one look at all units that are out to the next: at claims, at leases that ran out,
#: and at what no wake-up told.
LOOK_S = 0.5

#: A worker that has held no unit for so long is not at work: longer than it takes from the
#: end of a unit to the claim of the next one.
SILENT_S = 5.0


Taken = TypeVar("Taken")


@dataclass
class _InFlight:
    """A unit that is out.

    ``message`` is when its last message was sent, or seen in the queue, and ``patience_s`` how long
    a claim is waited for from then on; ``answered`` is the last attempt whose end was answered with
    another message. ``made`` says how far the unit has got, which was ``reached`` when a worker was
    lost last; ``failed`` attempts reported an error, ``forgiven`` tries do not count.
    """

    task: str
    began: float
    message: float
    made: Callable[[], int]
    worker: str = ""
    answered: int = 0
    patience_s: float = TAKEN_S
    reached: int = 0
    failed: int = 0
    forgiven: int = 0

    def note_end(self, unit: LedgerUnit) -> None:
        """Note how an attempt ended: workers that it lost before it got further are forgiven."""
        if unit.state is UnitState.FAILED:
            self.failed += 1
        elif unit.state is UnitState.LEASED and (made := self.made()) > self.reached:
            self.reached = made
            self.forgiven = unit.tries - self.failed


@dataclass(frozen=True)
class Finished:
    """A unit that was reported done, by which worker and in which attempt.

    ``key`` is where its report was found.
    """

    unit: str
    report: dict[str, Any]
    worker: str = ""
    attempt: int = 0
    key: str = ""

    def read(self, take: Callable[[dict[str, Any]], Taken]) -> Taken:
        """What ``take`` makes of the report; raises RunDamaged where it can make nothing."""
        with understood(self.key):
            return take(self.report)


class Dispatcher:
    """Sends units to workers and collects their reports, each exactly once.

    Args:
        ledger: the run's.
        send: publishes a message for a unit.
        waiting: the messages of a task that no worker has taken yet.
        fence: the coordinator's.
        lease_s: length of the leases; a unit whose lease ran out is sent again.
        max_tries: times that a unit may fail, or lose its worker without getting any further.
        stall_s: how long units may wait without any worker at work.
        resent: units sent again so far, under earlier fences.
        tell: told of each unit that is sent again.
    """

    def __init__(
        self,
        ledger: Ledger,
        send: Send,
        waiting: Waiting,
        *,
        fence: int,
        lease_s: float,
        max_tries: int,
        stall_s: float,
        resent: int = 0,
        tell: Callable[..., None] = lambda *_, **__: None,
    ) -> None:
        self._ledger = ledger
        self._send = send
        self._waiting = waiting
        self._fence = fence
        self._lease_s = lease_s
        self._max_tries = max_tries
        self._stall_s = stall_s
        self._tell = tell
        self._in_flight: dict[str, _InFlight] = {}
        self._looked = -math.inf
        self._at_work = time.monotonic()
        self._liveness = WorkerLiveness(SILENT_S, time.monotonic)
        #: Units sent again: a worker failed, ended or was silent, or a message was lost.
        self.resent = resent

    def __len__(self) -> int:
        return len(self._in_flight)

    @property
    def workers(self) -> int:
        """Processes that hold a unit, or have held one in the last seconds."""
        return len(self._liveness)

    @property
    def held(self) -> int:
        """Units that a process held when they were looked at last."""
        return sum(bool(entry.worker) for entry in self._in_flight.values())

    @property
    def idle_s(self) -> float:
        """How long units have been waiting without any worker at work."""
        return time.monotonic() - self._at_work if self._in_flight else 0.0

    @property
    def oldest(self) -> Outstanding | None:
        """The unit that has been out for longest, and who works on it."""
        if not self._in_flight:
            return None
        name, entry = min(self._in_flight.items(), key=lambda item: item[1].began)
        return Outstanding(f"unit {name}", time.monotonic() - entry.began, entry.worker)

    def submit(
        self,
        task: str,
        unit: str,
        specification: Mapping[str, Any],
        made: Callable[[], int] = lambda: 0,
    ) -> None:
        """Send a unit; ``made`` is asked how far it has got, from 0 on, when it lost a worker."""
        if not self._in_flight:
            self._at_work = time.monotonic()
        self._ledger.submit(unit, specification, self._lease_s, self._fence)
        self._send(task, unit, 1)
        now = time.monotonic()
        self._in_flight[unit] = _InFlight(task, began=now, message=now, made=made)

    def abandon(self, units: list[str]) -> None:
        """Stop following units, and let no worker begin one of them."""
        for unit in units:
            self._in_flight.pop(unit, None)
        self._ledger.forget(units)

    def collect(self, timeout_s: float) -> list[Finished]:
        """Wait for a unit to finish, at most ``timeout_s``; return those that did.

        Raises:
            WorkFailed: a unit failed, or lost its worker at one place, as often as it may.
            WorkerMismatch: a worker has other code, another model or other servers.
            WaitTimeout: no worker has been at work for ``stall_s``.
            DataLost: the control server no longer knows a unit, or a worker found that a
                parameter server lost what it had acknowledged.
        """
        looked_at = self._worth_reading(self._ledger.wait(timeout_s))
        units = self._ledger.read(looked_at)
        finished, waiting = [], cache(self._waiting)
        for name in looked_at:
            if name not in units:
                raise ModelMissing(f"the control server lost unit {name}: it was flushed")
            entry, unit = self._in_flight[name], units[name]
            held = (unit.remaining_s or 0) > 0
            if unit.state is UnitState.DONE or held:
                self._at_work = time.monotonic()
                self._liveness.note(_worker_of(unit))
            entry.worker = _worker_of(unit) if held else ""
            if unit.state is UnitState.DONE:
                worker = _worker_of(unit)
                finished.append(Finished(name, unit.report, worker, unit.attempt, unit.key))
                del self._in_flight[name]
            elif not held and self._is_lost(name, unit, waiting):
                self._send_again(name, unit)
        self._ledger.forget([each.unit for each in finished])
        if self.idle_s > self._stall_s:
            raise WaitTimeout(
                f"no worker has been at work on {', '.join(self._in_flight)} for "
                f"{self._stall_s:g} s: are workers running (celery -A distbelief worker)?"
            )
        return finished

    def _worth_reading(self, told: Set[str]) -> list[str]:
        """The units that are worth reading now: those of wake-ups, and now and then all."""
        now = time.monotonic()
        if now - self._looked < LOOK_S:
            return [unit for unit in self._in_flight if unit in told]
        self._looked = now
        return list(self._in_flight)

    def _is_lost(self, name: str, unit: LedgerUnit, waiting: Waiting) -> bool:
        """Whether the unit, which nobody holds, needs another message."""
        entry = self._in_flight[name]
        if unit.attempt > entry.answered:
            entry.patience_s = TAKEN_S
            return True  # the last attempt failed, gave it back, or let its lease run out
        now = time.monotonic()
        if now - entry.message <= entry.patience_s:
            return False
        if (name,) in (waiting(entry.task) or ()):
            entry.message = now  # not lost: the workers are busy, or there are none
            return False
        entry.patience_s *= 2
        return True

    def _send_again(self, name: str, unit: LedgerUnit) -> None:
        failure = unit.failure if unit.state is UnitState.FAILED else None
        if failure is not None and failure.mismatch:
            raise WorkerMismatch(failure.error)
        if failure is not None and failure.lost:
            raise DataLost(failure.error)
        entry = self._in_flight[name]
        if unit.attempt > entry.answered:
            entry.note_end(unit)
        if (tries := unit.tries - entry.forgiven) >= self._max_tries:
            raise WorkFailed(_failure(name, unit, tries))
        self._send(entry.task, name, unit.attempt + 1)
        entry.message, entry.answered = time.monotonic(), unit.attempt
        self.resent += 1
        self._tell("resent", unit=name, attempt=unit.attempt, worker=_worker_of(unit))


def _failure(name: str, unit: LedgerUnit, tries: int) -> str:
    if unit.state is UnitState.FAILED:
        failure = unit.failure
        return (
            f"unit {name} failed {tries} times, last on worker {failure.worker}: "
            f"{failure.error}\n{failure.traceback}"
        ).rstrip()
    return (
        f"unit {name} lost its worker {tries} times and got no further, last {_worker_of(unit)}: "
        "does it run out of memory, or crash? See the worker's log"
    )


def _worker_of(unit: LedgerUnit) -> str:
    """The process that claimed the unit last, as people find it: process@host."""
    return unit.owner.partition("/")[0]
