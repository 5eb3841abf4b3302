"""Which workers live, as far as their coordinator hears of them."""

from __future__ import annotations

from collections.abc import Callable


class WorkerLiveness:
    """Workers by name; its length is how many were heard of in the last ``silent_s``."""

    def __init__(self, silent_s: float, clock: Callable[[], float]) -> None:
        self._silent_s, self._clock = silent_s, clock
        self._at: dict[str, float] = {}

    def of(self, worker: str) -> None:
        """A sign of life."""
        self._at[worker] = self._clock()

    def __len__(self) -> int:
        since = self._clock() - self._silent_s
        self._at = {worker: at for worker, at in self._at.items() if at >= since}
        return len(self._at)
