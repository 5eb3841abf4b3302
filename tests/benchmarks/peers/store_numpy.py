"""NumPy in the process itself: the floor, without any transfer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from peers.store import NumpyStore, first_values, measured


@contextmanager
def contestant(options: dict[str, Any]) -> Iterator[Callable[[dict[str, Any]], dict[str, Any]]]:
    size = options["size"]
    yield measured(NumpyStore(first_values(size)), size)
