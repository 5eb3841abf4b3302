"""The Celery application for ``celery -A distbelief worker``, which looks for it here.

It is made when it is asked for: importing this module sets up nothing.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(f"module 'distbelief.celery' has no attribute {name!r}")
    from distbelief.app.broker.application import worker_application

    return worker_application()
