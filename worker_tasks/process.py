"""Sets a process up for computing, and leaves those of other applications as they were.

A worker of ours belongs to us: its processes compute with one BLAS thread each and keep memory that
was freed, from their begin to their end. Where another application's worker runs our tasks, its
processes are as they were as soon as a task of ours is over.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import threadpoolctl
from celery import current_app

from distbelief.app.broker.application import Application
from distbelief.worker_tasks.kept import give_back

#: Numbers of two settings of glibc's allocator (malloc.h), and the bytes of freed memory that
#: a process keeps: arrays as large as a minibatch come and go all the time.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEPT_BYTES, LARGEST_KEPT_BYTES = 64 << 20, 32 << 20

#: The threads that torch had before it was limited.
_threads_of_torch: list[int] = []

#: What undoes the limits on BLAS for each task that is under way: another application's pool may
#: have threads, and what the first one found is what the last one must leave.
_under_way: list[Any] = []
_changing = threading.Lock()


def is_ours() -> bool:
    """Whether this process is that of a worker of ours."""
    return isinstance(current_app._get_current_object(), Application)


def set_up() -> None:
    """Set this process up for computing, to its end."""
    threadpoolctl.threadpool_limits(1)
    _keep_freed_memory()


@contextmanager
def computing() -> Iterator[None]:
    """Compute with one thread, and leave a process that is not ours as it was."""
    if is_ours():
        limit_torch()
        yield
        return
    with _changing:
        limit_torch()
        _under_way.append(_libraries().limit(limits=1) if not _under_way else _under_way[0])
    try:
        yield
    finally:
        with _changing:
            limits = _under_way.pop()
            if not _under_way:
                give_back()
                limits.restore_original_limits()
                while _threads_of_torch:
                    sys.modules["torch"].set_num_threads(_threads_of_torch.pop())


def limit_torch() -> None:
    """One thread for torch, which is no BLAS, if there is torch: a model may have imported it."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != 1:
        _threads_of_torch.append(torch.get_num_threads())
        torch.set_num_threads(1)


@cache
def _libraries() -> threadpoolctl.ThreadpoolController:
    """The libraries with threads of this process: to look for them takes a millisecond."""
    return threadpoolctl.ThreadpoolController()


def _keep_freed_memory() -> None:
    """Have arrays reuse memory that was freed.

    Else it goes back to the kernel with each large array, and the next one pays a page
    fault for every 4 kB: up to a third of a portion's time.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return  # another allocator
    mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
    mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT_BYTES)
