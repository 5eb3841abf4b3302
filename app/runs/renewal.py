"""Renews a lease on a thread beside the work that is done under it."""

from __future__ import annotations

import threading
from collections.abc import Callable

#: A lease survives two lost renewals.
RENEWALS_PER_LEASE = 3


class Renewal:
    """Calls ``renew`` every ``pause_s`` until it returns False, or :meth:`stop` is called."""

    def __init__(self, name: str, pause_s: float, renew: Callable[[], bool]) -> None:
        self._pause_s = pause_s
        self._renew = renew
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self, timeout_s: float) -> None:
        """End the thread, waiting up to ``timeout_s`` for a renewal that is under way."""
        self._over.set()
        self._thread.join(timeout=timeout_s)

    def _run(self) -> None:
        while not self._over.wait(self._pause_s) and self._renew():
            pass
