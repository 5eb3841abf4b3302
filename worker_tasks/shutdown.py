"""A worker that is told to end lets its processes know, so that they hand over their units.

Celery's warm shutdown waits until the running tasks have ended. A unit of a slow model can
take longer than an operator, or systemd, waits before it kills: the unit would then cost
its lease.
"""

from __future__ import annotations

import mmap
from typing import Any

from celery.signals import worker_init, worker_shutting_down

#: One byte, made before the pool forks: what the worker writes, its processes read.
_ending = mmap.mmap(-1, 1)


def ending() -> bool:
    """Whether this process's worker has been told to end."""
    return _ending[0] != 0


@worker_init.connect
def begin(**_: Any) -> None:
    """Forget an earlier end: a process may start several workers, one after another."""
    _ending[0] = 0


@worker_shutting_down.connect
def end(**_: Any) -> None:
    """Let all processes of this worker know."""
    _ending[0] = 1
