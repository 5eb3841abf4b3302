"""What a process keeps from task to task, and gives back once no task has asked for it for a while.

A process does not hear that a run is over: it just gets no task of it any more.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import wraps
from typing import ParamSpec, TypeVar, cast

#: Seconds without a question after which it is gone: longer than tasks of one run are apart.
KEPT_S = 30.0

_shelves: list[_Shelf] = []

Words = ParamSpec("Words")
Value = TypeVar("Value")


def kept(
    at_most: int, seconds: float = KEPT_S
) -> Callable[[Callable[Words, Value]], Callable[Words, Value]]:
    """Keep the last values that a function of positional arguments gave, for a while."""

    def decorate(make: Callable[Words, Value]) -> Callable[Words, Value]:
        shelf = _Shelf(at_most, seconds)
        _shelves.append(shelf)

        @wraps(make)
        def known(*words: Words.args, **more: Words.kwargs) -> Value:
            assert not more, "only positional arguments tell values apart"
            if (found := shelf.find(words)) is None:
                found = make(*words, **more)
                shelf.put(words, found)
            return cast("Value", found)

        return known

    return decorate


def give_back() -> None:
    """Let go of everything at once: of this process nothing of ours is to be left."""
    for shelf in _shelves:
        shelf.clear()


class _Shelf:
    """Values by their keys; a thread empties it, which is there as long as something is."""

    def __init__(self, at_most: int, seconds: float) -> None:
        self._at_most = at_most
        self._seconds = seconds
        self._values: OrderedDict[Hashable, object] = OrderedDict()
        self._asked_at = 0.0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._cleared = threading.Event()

    def find(self, key: Hashable) -> object | None:
        with self._lock:
            self._asked_at = time.monotonic()
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: Hashable, value: object) -> None:
        with self._lock:
            if self._thread is None:
                self._cleared = threading.Event()
                arguments = (self._cleared,)
                self._thread = threading.Thread(
                    target=self._empty, args=arguments, name="kept", daemon=True
                )
                self._thread.start()
            self._asked_at = time.monotonic()
            self._values[key] = value
            while len(self._values) > self._at_most:
                self._values.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._values.clear()
            self._cleared.set()
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()

    def _empty(self, cleared: threading.Event) -> None:
        """Wait until nobody has asked for a while, and let go of everything."""
        while True:
            with self._lock:
                if cleared.is_set():
                    return
                left_s = self._asked_at + self._seconds - time.monotonic()
                if left_s <= 0:
                    self._values.clear()
                    self._thread = None
                    return
            cleared.wait(left_s)
