"""Keeping the children of a cluster alive: those that end are started again.

A call to a server that has died waits for it, so nobody can be asked to look between calls: a
thread of its own looks, for as long as a training lasts.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from distbelief.app.errors import ServerError
from distbelief.coordinator.cluster.processes import Child

#: A child that ends so soon after its start, so many times in a row, is not started again.
EARLY_S = 3.0
MOST_EARLY_ENDS = 5

#: How what is said of such a child ends.
AGAIN = "started again"

#: Between two looks of the thread.
LOOK_S = 0.2


class Keeper:
    """Starts children again that ended, until one ends again and again.

    Args:
        start: calls what makes a child where children are to be started.
        say: told of each that is started again.
    """

    def __init__(
        self, start: Callable[[Callable[[], Child]], Child], say: Callable[[str], None]
    ) -> None:
        self._start = start
        self._say = say
        self._early_ends: Counter[str] = Counter()
        self._given_up: ServerError | None = None

    def look(self, children: list[Child]) -> None:
        """Replace the children that ended; raises ServerError if that is in vain."""
        if self._given_up is not None:
            raise self._given_up
        for index, each in enumerate(children):
            code = each.process.poll()
            if code is None:
                continue
            early = each.age_s < EARLY_S
            self._early_ends[each.name] = self._early_ends[each.name] + 1 if early else 0
            if self._early_ends[each.name] >= MOST_EARLY_ENDS:
                self._given_up = each.failure()
                raise self._given_up
            self._say(f"{each.name} ended with exit code {code}: {AGAIN}")
            children[index] = self._start(each.again)


@contextmanager
def looking(look: Callable[[], None]) -> Iterator[None]:
    """Look again and again on another thread; an error is for whoever looks next."""
    over = threading.Event()

    def look_on() -> None:
        while not over.wait(LOOK_S):
            with suppress(ServerError):
                look()

    thread = threading.Thread(target=look_on, name="children", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
