"""Celery's doors: :func:`join` for an application of yours, and an application of our own.

``celery -A distbelief worker`` looks for ours here. It is made when it is asked for: importing
this module sets up nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from celery import Celery

    from distbelief.app.broker.joining import Queues


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(f"module 'distbelief.celery' has no attribute {name!r}")
    from distbelief.app.broker.application import worker_application
    from distbelief.app.errors import ConfigError

    try:
        return worker_application()
    except ConfigError as error:
        if not _is_celerys_command():
            raise
        # Celery would print a traceback; nothing else goes through it as it is.
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(error.exit_code) from None


def _is_celerys_command() -> bool:
    """Whether this process is ``celery`` or ``python -m celery``, not a program of its own."""
    return "celery" in Path(sys.argv[0]).parts[-2:]


def join(app: Celery, queue: Queues = "training", *, control: str | None = None) -> None:
    """Have the workers of a Celery application of yours train, too; see docs/join.md.

    Args:
        app: the application. Its settings stay as they are.
        queue: the queue of our tasks, which workers name with ``-Q``. Or a queue for each kind of
            work, ``{"downpour": ..., "sandblaster": ..., "evaluation": ...}``. Or None: the
            application's own routes, and its default queue.
        control: URL of the Redis with the ledger of runs; ``DISTBELIEF_CONTROL`` goes before it
            [default: the application's broker, if that is a Redis].

    Raises:
        ConfigError: a kind of work has no queue, or there is none of that name.
    """
    from distbelief.app.broker.joining import join as joined

    joined(app, queue, control=control)
