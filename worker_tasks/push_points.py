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
    """The steps after which a replica pushes: at multiples of ``n_push``, and at the unit's end.

    With ``round_seconds`` not at all of them, but at the first after so long: faster workers
    take more steps in the same time (Liu et al. 2024, "dynamic local updates"). The push has
    the numbers of all multiples that it goes over. Where some shards have others than the rest,
    ``sequences``, there is always one, so that each is made again as it was or not at all.
    """

    def __init__(self, config: RunConfig, sequences: Collection[int], stop: int) -> None:
        self._interval = config.push_interval
        self._seconds = config.round_seconds or 0.0
        self._always = frozenset(sequences)
        self._stop = stop
        self._began = time.perf_counter()

    def begin(self) -> None:
        """Note that the steps for another push begin."""
        self._began = time.perf_counter()

    def due(self, step: int) -> bool:
        """Whether a push is due before ``step``."""
        if step == self._stop:
            return True
        sequence, rest = divmod(step, self._interval)
        if rest:
            return False
        return sequence in self._always or time.perf_counter() - self._began >= self._seconds
