"""The shifts of worker processes that are wanted: which messages go out, and when. Pure: the clock
and the sending are injected.

A process works a shift without another message. There are as many shifts as processes, and one
message more waits in the queue: whoever ends a shift, or has just come, takes it at once.
"""

from __future__ import annotations

from collections.abc import Callable, Set

#: Publishes a message; returns the number of its shift.
Send = Callable[[], int]
Clock = Callable[[], float]

#: A process that gave no sign for so long does not count: it ended, or a portion keeps it busy.
FRESH_S = 1.0

#: A message between queue and worker is at neither: it is lost when it was nowhere so many times.
NOWHERE = 2


class Shifts:
    """The shifts of one coordinator's turn."""

    def __init__(self, send: Send, clock: Clock) -> None:
        self._send = send
        self._clock = clock
        self._at_work: dict[int, float] = {}
        #: Messages that no worker has taken, and how often each was nowhere.
        self._waiting: dict[int, int] = {}

    def advance(self, workers: int, useful: int) -> None:
        """Send what is wanted, if ``workers`` are known and ``useful`` have something to do."""
        since = self._clock() - FRESH_S
        fresh = sum(at >= since for at in self._at_work.values())
        wanted = min(useful, max(workers, fresh + 1))
        for _ in range(wanted - fresh - len(self._waiting)):
            self._waiting[self._send()] = 0

    def note_begun(self, shift: int) -> None:
        """Note that a process has taken the message of a shift."""
        self._waiting.pop(shift, None)
        self._at_work[shift] = self._clock()

    def note_sign(self, shift: int) -> None:
        """Note that a process is still at its shift."""
        if shift in self._at_work:
            self._at_work[shift] = self._clock()

    def note_over(self, shift: int) -> None:
        """Note that a shift is over."""
        self._waiting.pop(shift, None)
        self._at_work.pop(shift, None)

    def locate(self, found: Set[int]) -> None:
        """Take in which messages wait, or are with a worker: others are sent in their place."""
        for shift in list(self._waiting):
            nowhere = 0 if shift in found else self._waiting[shift] + 1
            self._waiting[shift] = nowhere
            if nowhere == NOWHERE:
                del self._waiting[shift]
