"""Executors of a replica's exchanges: on a thread of their own, or in place."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class _Inline(Executor):
    """An executor that has done the work when ``submit`` returns: no overlap."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def executor(overlap: bool) -> Executor:
    """One that overlaps what it does with what its caller does, or none."""
    return ThreadPoolExecutor(1) if overlap else _Inline()
