"""The Celery application for ``celery -A distbelief worker``, which looks for it here."""

from __future__ import annotations

from distbelief.app.celery import app

__all__ = ["app"]
