"""Where in a stream of steps a push is due, and the one that is under way."""

from __future__ import annotations

import time
from collections.abc import Collection
from concurrent.futures import Future
from dataclasses import dataclass

from distbelief.app.settings.config import RunConfig
from distbelief.app.store.contract.parameters import Positions, Pushed


@dataclass(frozen=True)
class PushInFlight:
    """A push under way; ``base`` are the shards' positions at its oldest gradient."""

    future: Future[Pushed]
    sequence: int
    base: Positions


class PushPoints:
    """The steps after which a replica pushes: each ``n_push`` of them, and the unit's last.

    With ``round_seconds`` not at all of them, but at the first after so long: faster workers
    take more steps in the same time (Liu et al. 2024, "dynamic local updates"). The push has
    the numbers of all that it goes over. Where some shards stand at other steps than the rest,
    ``reached``, there is always one, so that each is made again as it was or not at all.
    """

    def __init__(self, config: RunConfig, reached: Collection[int], stop: int) -> None:
        self._interval = config.push_interval
        self._seconds = config.round_seconds or 0.0
        self._first = min(reached)
        self._always = frozenset(reached)
        self._stop = stop
        self._began = time.perf_counter()

    def begin(self) -> None:
        """Note that the steps for another push begin."""
        self._began = time.perf_counter()

    def due(self, step: int) -> bool:
        """Whether a push is due before ``step``."""
        if step == self._stop:
            return True
        if step in self._always:
            return True
        if (step - self._first) % self._interval:
            return False
        return time.perf_counter() - self._began >= self._seconds
