"""What follows from training on the workers of a Celery application that joined."""

from __future__ import annotations

from typing import Any

from distbelief.app.broker.joining import application, control_of

#: A team's own tasks wait for one unit at most, so it is short.
UNIT_SECONDS = 2.0


def complete(settings: dict[str, Any]) -> None:
    """Add to settings that name a ``celery_app`` what they leave to it.

    The control server is the application's; parameters are there, too, unless servers are named.

    Raises:
        ConfigError: there is no such application, it has not joined, or nothing names a Redis.
    """
    name = settings.get("celery_app")
    if name is None:
        return
    app = application(name)
    settings.pop("broker", None)  # the application has its own
    if settings.get("control") is None:
        settings["control"] = control_of(app)
    if not settings.get("parameter_servers"):
        settings["parameter_servers"] = (settings["control"],)
    if settings.get("unit_seconds") is None:
        settings["unit_seconds"] = UNIT_SECONDS
