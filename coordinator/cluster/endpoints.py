"""Addresses of the servers that a run uses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Endpoints:
    """Where a run's servers are. The URLs may hold passwords."""

    broker: str
    parameter_servers: tuple[str, ...]
