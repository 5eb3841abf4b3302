"""A worker that is told to end lets its processes know, so that they hand over their units.

Celery's warm shutdown waits until the running tasks have ended. A unit of a slow model can
take longer than an operator, or systemd, waits before it kills: the unit would then cost
its lease.
"""

from __future__ import annotations

import atexit
import hashlib
import logging
import os
import re
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from billiard import current_process
from celery.signals import worker_init, worker_shutting_down

from distbelief.app.files.owned import lock, sweep_files

log = logging.getLogger(__name__)


@cache
def _flag() -> Path:
    """The file that says that this process's worker is to end.

    Its name follows from a secret that a worker draws and each of its processes has, whether it
    was forked, or spawned and shares no memory with it. Nobody else can guess the name.
    """
    secret = hashlib.blake2b(current_process().authkey, digest_size=16).hexdigest()
    return Path(tempfile.gettempdir()) / f"distbelief-ending-{secret}"


#: The flags of workers, and how old one of a dead worker is before another worker removes it: those
#: of older programs were not locked.
_FLAGS = re.compile(r"distbelief-ending-[0-9a-f]{32}")
_OLD_S = 86_400.0

#: The descriptors of the flags that this worker has made, and so holds.
_held: list[int] = []


def ending() -> bool:
    """Whether this process's worker has been told to end."""
    return os.path.exists(_flag())  # a path's own method is slow, and this is asked at each step


@worker_init.connect
def begin(sender: Any = None, **_: Any) -> None:
    """Forget an earlier end: a process may start several workers, one after another.

    Celery's signal comes after the soft shutdown (SIGQUIT, and SIGTERM under REMAP_SIGTERM), in
    which processes are to end what they do: they are told when that begins.
    """
    forget()
    sweep_files(_flag().parent, _FLAGS, _OLD_S)
    atexit.register(forget)
    soft_shutdown = sender.wait_for_soft_shutdown

    def tell_and_wait() -> None:
        end()
        soft_shutdown()

    sender.wait_for_soft_shutdown = tell_and_wait


@worker_shutting_down.connect
def end(**_: Any) -> None:
    """Let all processes of this worker know."""
    try:
        _held.append(lock(_flag()))
    except OSError as error:
        log.warning("units under way cost their leases: %s cannot be written: %s", _flag(), error)


def forget() -> None:
    """Forget that the worker has been told to end."""
    _flag().unlink(missing_ok=True)
    while _held:
        os.close(_held.pop())
