"""A bound on how far replicas drift apart: stale synchronous parallel (Ho et al. 2013).

A stream stands where its pushes have brought it. One that is further ahead of the slowest
than the bound begins no other push: it waits, and after a while ends its unit early, so
that the process is free for the streams that it waits for. The coordinator hands its next
unit out when the others have caught up.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.config import RunConfig, whole_pushes
from app.store.contract import ParameterStore

FIRST_PAUSE_S = 0.02
LONGEST_PAUSE_S = 0.1
#: A replica that has waited this long in one piece leaves its process to others.
LONGEST_WAIT_S = 1.0


@dataclass(frozen=True)
class Pace:
    """``bound`` is in pushes, ``totals`` are those of each stream in the whole plan.

    ``warm`` pushes are made by stream 0 alone and put it ahead of nobody.
    """

    bound: int
    totals: Sequence[int]
    warm: int

    @classmethod
    def of(cls, config: RunConfig, steps_per_pass: Sequence[int]) -> Pace | None:
        """The run's, given the minibatches of each subset; None if it has no bound."""
        if config.max_staleness is None:
            return None
        totals = [math.ceil(steps * config.passes / config.n_push) for steps in steps_per_pass]
        warm = whole_pushes(config.warm_start_steps, config.n_push) // config.n_push
        return cls(config.max_staleness, totals, min(warm, totals[0]))

    def allows(self, stream: int, made: int, sequences: Sequence[int]) -> bool:
        """Whether a stream that made so many pushes may compute another.

        ``sequences`` are the last ones of all streams; those that made all their pushes
        are waited for by nobody.
        """
        others = [
            self._position(other, last)
            for other, last in enumerate(sequences)
            if other != stream and last < self.totals[other]
        ]
        return not others or self._position(stream, made) - min(others) <= self.bound

    def _position(self, stream: int, made: int) -> int:
        return made - self.warm if stream == 0 else made


class Leash:
    """Holds one stream back while it is too far ahead."""

    def __init__(self, pace: Pace, store: ParameterStore, stream: int) -> None:
        self._pace, self._store, self._stream = pace, store, stream
        self._sequences = [0] * len(pace.totals)  # as last seen: streams only go forward

    def hold(self, made: int, check: Callable[[], None]) -> tuple[bool, float]:
        """Wait until the stream may go on: whether it may, and the seconds waited.

        ``check`` is called before each pause and may raise to stop.
        """
        if self._pace.allows(self._stream, made, self._sequences):
            return True, 0.0
        began, pause, waited_s = time.monotonic(), FIRST_PAUSE_S, 0.0
        while not self._look(made) and waited_s < LONGEST_WAIT_S:
            check()
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)
            waited_s = time.monotonic() - began
        return self._pace.allows(self._stream, made, self._sequences), waited_s

    def _look(self, made: int) -> bool:
        self._sequences = self._store.sequences(len(self._pace.totals))
        return self._pace.allows(self._stream, made, self._sequences)
