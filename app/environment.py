"""What the operator of a process tells it by environment variables: where, never what.

URLs may hold passwords; they belong here, not on command lines or in run records.
"""

from __future__ import annotations

import os

BROKER = "DISTBELIEF_BROKER"
PARAMETER_SERVERS = "DISTBELIEF_PARAMETER_SERVERS"
DEFAULT_BROKER = "redis://127.0.0.1:6379/0"


def broker_url() -> str:
    """URL of the control server, which is Celery's broker."""
    return os.environ.get(BROKER) or DEFAULT_BROKER


def parameter_server_urls() -> tuple[str, ...]:
    """URLs of the parameter servers, in the run's order; empty if the operator set none."""
    return tuple(split_urls(os.environ.get(PARAMETER_SERVERS, "")))


def split_urls(text: str) -> list[str]:
    """URLs with commas between them."""
    return [url.strip() for url in text.split(",") if url.strip()]
