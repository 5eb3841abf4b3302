"""Addresses of the servers that a run uses, and the application that its messages go through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from distbelief.app.settings.config import ClusterConfig


@dataclass(frozen=True)
class Endpoints:
    """The URLs of a run's servers, which may hold passwords.

    ``broker`` is Celery's; ``control`` has the ledger, and is the broker unless it is named.
    Messages go through the joined application that ``celery_app`` names, or else through ours.
    """

    broker: str
    parameter_servers: tuple[str, ...]
    control: str = ""
    celery_app: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "control", self.control or self.broker)

    @classmethod
    def of(cls, cluster: ClusterConfig) -> Endpoints:
        """Those that the settings name."""
        control = cluster.control_server
        assert control is not None
        broker = cluster.broker or control
        return cls(broker, cluster.parameter_servers, control, cluster.celery_app)

    def settings(self) -> dict[str, Any]:
        """The settings that name them."""
        broker = self.broker if self.celery_app is None else None  # the application has its own
        named = {"broker": broker, "control": self.control, "celery_app": self.celery_app}
        given = {name: value for name, value in named.items() if value is not None}
        return {**given, "parameter_servers": self.parameter_servers}
