"""The schedule of a batch's portions: which goes out next, and when one goes out again. Pure:
the clock and the sending are injected.

A batch is cut into many more portions than there are workers (Dean et al. 2012, sec. 4.2).
They go out in order, a bounded number at a time, so that a fast worker takes more of them.
At the end of the batch the slowest outstanding ones are sent again as backup tasks, and
the first answer counts. A portion whose worker fails is sent again at once; so is one that
no worker has and that does not wait in the queue. One whose workers stay silent for very
long is taken for lost even if nobody can say where it is.
"""

from __future__ import annotations

import bisect
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from distbelief.app.errors import WorkFailed
from distbelief.coordinator.progress.status import Tally

#: ``send(portion, dispatch)``: dispatch 0 is the first, later ones are backups or retries.
Send = Callable[[int, int], None]
Clock = Callable[[], float]

#: A backup waits for this multiple of the median duration.
PATIENCE = 2.0

#: ... and until this share of the portions is done: before, the median means little.
ENOUGH = 0.5

#: A message between queue and worker is at neither: a portion is lost when it was nowhere
#: so many times in a row.
NOWHERE = 2


@dataclass(frozen=True)
class Policy:
    """The rules by which portions are sent.

    Args:
        workers: processes that compute portions.
        floor_s: a backup is never sent earlier than this after the last dispatch.
        lost_s: a portion silent for so long is taken for lost.
        max_failures: times that a portion may fail, or be lost, before the run ends.
        ahead: portions kept in flight for each worker, so that it finds the next one waiting
            when it is done.
    """

    workers: int
    floor_s: float
    lost_s: float
    max_failures: int
    ahead: int = 2


@dataclass
class _Outstanding:
    began: float
    last: float
    dispatches: int = 1
    backups: set[int] = field(default_factory=set)
    failures: int = 0
    nowhere: int = 0
    worker: str = ""


class Portions:
    """The portions of one evaluation, from the first dispatch to the last answer."""

    def __init__(self, count: int, policy: Policy, send: Send, clock: Clock, tally: Tally) -> None:
        self._count = count
        self._policy = policy
        self._send = send
        self._clock = clock
        self._tally = tally
        self._next = 0
        self._outstanding: dict[int, _Outstanding] = {}
        self._done: set[int] = set()
        self._durations: list[float] = []  # sorted: their median is asked for often

    @property
    def done(self) -> bool:
        return len(self._done) == self._count

    @property
    def n_done(self) -> int:
        return len(self._done)

    @property
    def n_out(self) -> int:
        """Dispatches that may still be answered: so many workers have something to do."""
        return sum(entry.dispatches - entry.failures for entry in self._outstanding.values())

    @property
    def outstanding(self) -> dict[int, float]:
        """Seconds since the first dispatch of each portion that has not answered."""
        now = self._clock()
        return {portion: now - entry.began for portion, entry in self._outstanding.items()}

    @property
    def slowest(self) -> tuple[int, float, str] | None:
        """The portion that has been out for longest, for how long, and its worker if known."""
        if not self._outstanding:
            return None
        portion, entry = min(self._outstanding.items(), key=lambda item: item[1].began)
        return portion, self._clock() - entry.began, entry.worker

    @property
    def silent_s(self) -> float:
        """The longest time since any outstanding portion was last sent."""
        now = self._clock()
        return max((now - entry.last for entry in self._outstanding.values()), default=0.0)

    def advance(self) -> None:
        """Send what may go out now.

        Raises:
            WorkFailed: a portion was lost as often as it may be.
        """
        now = self._clock()
        # A portion that is overdue holds no worker that could take another one.
        overdue = self._overdue(now)
        fresh = len(self._outstanding) - len(overdue)
        while self._next < self._count and fresh < self._policy.ahead * self._policy.workers:
            self._outstanding[self._next] = _Outstanding(now, now)
            self._send(self._next, 0)
            self._next += 1
            fresh += 1
        enough = self._next == self._count and len(self._done) >= ENOUGH * self._count
        for portion, entry in sorted(self._outstanding.items(), key=lambda item: item[1].last):
            if now - entry.last > self._lost_after(entry):
                self._fail(portion, f"no answer for {now - entry.last:.0f} s")
            elif enough and fresh < self._policy.workers and portion in overdue:
                self._tally.sent += 1
                entry.backups.add(entry.dispatches)
                self._send_again(portion)
                fresh += 1

    def complete(self, portion: int, dispatch: int) -> bool:
        """Take an answer; True if it is the first for its portion."""
        entry = self._outstanding.pop(portion, None)
        if entry is None:  # it has answered before, or this coordinator never sent it
            return False
        self._done.add(portion)
        self._tally.portions += 1
        self._tally.won += dispatch in entry.backups
        self._tally.wasted += len(entry.backups - {dispatch})
        bisect.insort(self._durations, self._clock() - entry.began)
        return True

    def fail(self, portion: int, error: str) -> None:
        """Send a portion again whose worker reported an error.

        Raises:
            WorkFailed: it failed as often as it may; the message names the portion.
        """
        if portion in self._outstanding:
            self._fail(portion, error)

    def locate(self, found: Mapping[int, str]) -> bool:
        """Take in where portions were found: on a worker, by its name, or in the queue ("").

        Returns whether any was missing: it is worth looking again soon.

        Raises:
            WorkFailed: a portion was lost as often as it may be.
        """
        for portion, worker in found.items():
            if portion in self._outstanding:
                entry = self._outstanding[portion]
                entry.worker, entry.nowhere = worker, 0
        missing = self._outstanding.keys() - found.keys()
        for portion in sorted(missing):
            entry = self._outstanding[portion]
            entry.nowhere += 1
            if entry.nowhere == NOWHERE:
                self._fail(portion, _vanished(entry.worker))
        return bool(missing)

    def _fail(self, portion: int, error: str) -> None:
        entry = self._outstanding[portion]
        entry.failures += 1
        if entry.failures >= self._policy.max_failures:
            raise WorkFailed(f"portion {portion} failed {entry.failures} times: {error}")
        self._tally.retries += 1
        self._send_again(portion)

    def _send_again(self, portion: int) -> None:
        entry = self._outstanding[portion]
        self._send(portion, entry.dispatches)
        entry.dispatches += 1
        entry.last, entry.nowhere, entry.worker = self._clock(), 0, ""

    def _overdue(self, now: float) -> set[int]:
        """Portions that are out for too long; each backup gets twice the time of the last."""
        if not self._durations:
            return set()
        patience = max(PATIENCE * statistics.median(self._durations), self._policy.floor_s)
        return {
            portion
            for portion, entry in self._outstanding.items()
            if now - entry.last > patience * 2 ** len(entry.backups)
        }

    def _lost_after(self, entry: _Outstanding) -> float:
        """Ever longer, so that a portion that is merely slow gets its time."""
        return self._policy.lost_s * float(2**entry.failures)


def _vanished(worker: str) -> str:
    whose = f"the process on {worker} that had it" if worker else "its worker's process"
    return (
        f"{whose} died, or its message was lost: does it run out of memory, or crash? "
        "See the worker's log"
    )
