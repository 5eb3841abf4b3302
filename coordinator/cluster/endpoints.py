"""Addresses of the servers that a run uses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Endpoints:
    """The URLs of a run's servers, which may hold passwords."""

    broker: str
    parameter_servers: tuple[str, ...]
