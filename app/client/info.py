"""The facts that a server tells about itself: INFO, which redis-py does not parse here."""

from __future__ import annotations

from distbelief.app.client.servers import Servers


def read_info(
    servers: Servers, *sections: str, server: int = 0, timeout_s: float | None = None
) -> dict[str, str]:
    """The fields of some sections of INFO; without any, those of its usual ones."""
    reply = servers.one("INFO", *sections, server=server, timeout_s=timeout_s)
    return dict(line.split(":", 1) for line in reply.decode().splitlines() if ":" in line)
