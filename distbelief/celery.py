"""The Celery application for ``celery -A distbelief worker``, which looks for it here.

It is made when it is asked for: importing this module sets up nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any


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
