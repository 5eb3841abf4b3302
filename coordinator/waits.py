"""Saying what is waited for, and since when; not more often than people want to read it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

#: A wait is told again after so many seconds.
AGAIN_S = 5.0


class Waits:
    """Told ``(what, seconds)`` again and again while something is waited for, by any thread."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._told: dict[str, float] = {}
        self._lock = threading.Lock()

    def __call__(self, what: str, seconds: float) -> None:
        now = time.monotonic()
        with self._lock:
            if now - self._told.get(what, -AGAIN_S) < AGAIN_S:
                return
            self._told[what] = now
        self._say(f"waiting for {seconds:.0f} s: {what}")
