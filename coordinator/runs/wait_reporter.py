"""Reports of waits: for what, and since when; not more often than people want to read it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from distbelief.app.client.servers import WAIT_WORTH_SAYING_S, Servers

#: A wait is told again after so many seconds.
AGAIN_S = 5.0

#: How often the calls that are under way are looked at.
LOOK_S = 1.0


class WaitReporter:
    """Says what is waited for; called with ``(what, seconds)`` again and again, by any thread."""

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

    @contextmanager
    def watching(self, clients: Sequence[Servers]) -> Iterator[None]:
        """Tell of calls that a frozen server does not answer, while they wait for it."""
        over = threading.Event()

        def look() -> None:
            while not over.wait(LOOK_S):
                for what, seconds in (each for servers in clients for each in servers.silent()):
                    if seconds > WAIT_WORTH_SAYING_S:
                        self(what, seconds)

        thread = threading.Thread(target=look, name="waits", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
