"""A bound on how far replicas drift apart: stale synchronous parallel (Ho et al. 2013).

A stream is as far as its pushes have brought it. One that is further ahead of the slowest
than the bound begins no other push: it waits. If the slowest does not move, perhaps because
nobody is free to work on it, or the time of the unit is over, the one that waits ends its unit
early and leaves its process to others. The coordinator hands its next unit out when they have
caught up.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from distbelief.app.datasets.split.partition import Subset
from distbelief.app.settings.config import RunConfig, whole_pushes
from distbelief.app.store.contract.parameters import ParameterStore

FIRST_PAUSE_S = 0.02
LONGEST_PAUSE_S = 0.05
#: After so long without any move of the slowest, a replica leaves its process to others. To
#: be wrong costs a message and a fetch, little against steps that take longer than this.
PATIENCE_S = 0.25


@dataclass(frozen=True)
class StalenessBound:
    """The bound of a run, in pushes; ``totals`` are those of each stream in the whole plan.

    ``warm`` pushes are made by stream 0 alone and put it ahead of nobody.
    """

    bound: int
    totals: Sequence[int]
    warm: int

    @classmethod
    def of(cls, config: RunConfig, steps_per_pass: Sequence[int]) -> StalenessBound | None:
        """The bound of a run, given the minibatches of each subset; None if it has none."""
        if config.max_staleness is None:
            return None
        n_push = config.push_interval
        totals = [math.ceil(steps * config.n_passes / n_push) for steps in steps_per_pass]
        warm = whole_pushes(config.warm_start_steps, n_push) // n_push
        return cls(config.max_staleness, totals, min(warm, totals[0]))

    @classmethod
    def of_subset(cls, config: RunConfig, subset: Subset) -> StalenessBound | None:
        """The bound of the run that one of its subsets belongs to; None if it has none."""
        if config.max_staleness is None:
            return None
        parts = (replace(subset, index=index) for index in range(subset.n_subsets))
        return cls.of(config, [part.steps_per_pass(config.batch_size) for part in parts])

    def allows(self, stream: int, made: int, sequences: Sequence[int]) -> bool:
        """Whether a stream that made so many pushes may compute another.

        ``sequences`` are the last ones of all streams; those that made all their pushes
        are waited for by nobody.
        """
        slowest = self.slowest(stream, sequences)
        return slowest is None or self._position(stream, made) - slowest <= self.bound

    def slowest(self, stream: int, sequences: Sequence[int]) -> int | None:
        """The pushes of the slowest of the others, None if all have made theirs."""
        others = (
            self._position(other, last)
            for other, last in enumerate(sequences)
            if other != stream and last < self.totals[other]
        )
        return min(others, default=None)

    def _position(self, stream: int, made: int) -> int:
        return made - self.warm if stream == 0 else made


class StalenessThrottle:
    """Holds one stream back while it is too far ahead."""

    def __init__(self, bound: StalenessBound, store: ParameterStore, stream: int) -> None:
        self._bound = bound
        self._store = store
        self._stream = stream
        self._sequences = [0] * len(bound.totals)  # as last seen: streams only go forward

    def hold(
        self, made: int, check: Callable[[], None], limit_s: float = math.inf
    ) -> tuple[bool, float]:
        """Wait until the stream may go on, at most ``limit_s``: whether it may, and for how long.

        ``check`` is called before each pause and may raise to stop.
        """
        if self._allows(made) or self._look(made):
            return True, 0.0
        began = moved = now = time.monotonic()
        pause = FIRST_PAUSE_S
        while now - moved < PATIENCE_S and now - began < limit_s:
            check()
            time.sleep(min(pause, limit_s - (now - began)))
            pause, now = min(2 * pause, LONGEST_PAUSE_S), time.monotonic()
            before = self._slowest
            if self._look(made):
                return True, now - began
            moved = moved if self._slowest == before else now
        return False, now - began

    def lets_go_on(self, made: int) -> bool:
        """Whether :meth:`hold` will let the stream go on at once, by what was seen last."""
        return self._allows(made)

    def _look(self, made: int) -> bool:
        self._sequences = self._store.sequences(len(self._bound.totals))
        return self._allows(made)

    def _allows(self, made: int) -> bool:
        return self._bound.allows(self._stream, made, self._sequences)

    @property
    def _slowest(self) -> int | None:
        return self._bound.slowest(self._stream, self._sequences)
