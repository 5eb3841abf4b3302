"""What follows from training on the workers of a Celery application that joined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distbelief.app.errors import ConfigError

#: A team's own tasks wait for one unit at most, so it is short.
UNIT_SECONDS = 2.0


def complete(settings: dict[str, Any], known: Sequence[str] = ()) -> None:
    """Add to settings that name a ``celery_app`` what they leave to it.

    The control server is the application's; parameters are there, too, unless servers are named,
    or a run that goes on has them elsewhere: ``known`` are the addresses of its servers.

    Raises:
        ConfigError: there is no such application, it has not joined, nothing names a Redis, or
            there is another broker beside it.
    """
    name = settings.get("celery_app")
    if name is None:
        return
    from distbelief.app.broker.joining import application, control_of
    from distbelief.app.client.addresses import address

    if settings.get("broker") is not None:
        raise ConfigError(
            f"the Celery application {name} has a broker of its own: leave out broker, and name "
            "the Redis of the ledger by control, if that is another server"
        )
    app = application(name)
    if settings.get("control") is None:
        settings["control"] = control_of(app)
    if not settings.get("parameter_servers"):
        control = settings["control"]  # which may have a password, that no address has
        elsewhere = known and (*known,) != (address(control),)
        settings["parameter_servers"] = (*known,) if elsewhere else (control,)
    if settings.get("unit_seconds") is None:
        settings["unit_seconds"] = UNIT_SECONDS
