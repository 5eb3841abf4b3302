"""Environment variables by which an operator tells a process where, never what.

URLs may hold passwords; they belong here, not on command lines or in run records. Where an
environment is too public, NAME_FILE names a file with what NAME would say, as containers
mount their secrets.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from distbelief.app.errors import ConfigError

BROKER = "DISTBELIEF_BROKER"
PARAMETER_SERVERS = "DISTBELIEF_PARAMETER_SERVERS"
DEFAULT_BROKER = "redis://127.0.0.1:6379/0"

#: How many threads a BLAS takes, read when NumPy is imported; workers take one unless told.
BLAS_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def broker_url() -> str:
    """URL of the control server, which is Celery's broker; raises ConfigError."""
    return named_broker() or DEFAULT_BROKER


def named_broker() -> str | None:
    """URL of the control server, if the operator named one; raises ConfigError."""
    return _told(BROKER)


def parameter_server_urls() -> tuple[str, ...]:
    """URLs of the parameter servers, in the run's order; empty if the operator set none.

    Raises:
        ConfigError: their file cannot be read.
    """
    return tuple(split_urls(_told(PARAMETER_SERVERS) or ""))


def _told(variable: str) -> str | None:
    """The value of a variable, or else the content of the file that VARIABLE_FILE names."""
    if said := os.environ.get(variable):
        return said
    name = os.environ.get(f"{variable}_FILE")
    if not name:
        return None
    try:
        return Path(name).read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{variable}_FILE names {name}, which cannot be read: {error}") from error


def split_urls(text: str) -> list[str]:
    """URLs with commas between them; a comma within a password is none of these."""
    return [url.strip() for url in re.split(r",(?=\s*(?:[\w+]+://|$))", text) if url.strip()]
