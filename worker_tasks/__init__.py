"""Celery tasks: thin shells that claim a unit, do it, and report it."""
