"""Children of a training that were started again: said at once, and noted for its report."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from distbelief.coordinator.cluster.keeping import AGAIN


class Restarts:
    """Hears on any thread of children that were started again, and notes it on the training's.

    Args:
        say: told all that is heard.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._heard = SimpleQueue[str]()

    def say(self, what: str) -> None:
        """Say what an embedded cluster has to say."""
        self._say(what)
        if what.endswith(AGAIN):
            self._heard.put(what)

    def noting(self, check: Callable[[], None], note: Callable[..., Any]) -> Callable[[], None]:
        """The check of a training, which then notes what was heard meanwhile."""

        def checked() -> None:
            check()
            while not self._heard.empty():
                note("restarted", what=self._heard.get())

        return checked
