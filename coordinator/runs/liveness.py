"""Workers that are alive, as far as their coordinator hears of them."""

from __future__ import annotations

from collections.abc import Callable


class WorkerLiveness:
    """Workers by name; its length is how many were heard of in the last ``silent_s``."""

    def __init__(self, silent_s: float, clock: Callable[[], float]) -> None:
        self._silent_s = silent_s
        self._clock = clock
        self._at: dict[str, float] = {}

    def note(self, worker: str) -> None:
        """Note a sign of life."""
        self._at[worker] = self._clock()

    def __len__(self) -> int:
        since = self._clock() - self._silent_s
        self._at = {worker: at for worker, at in self._at.items() if at >= since}
        return len(self._at)
