"""The facts that a server tells about itself: INFO, which redis-py does not parse here."""

from __future__ import annotations

from collections.abc import Mapping

from distbelief.app.client.servers import Servers
from distbelief.app.errors import ServerRefused


def read_info(
    servers: Servers, *sections: str, server: int = 0, timeout_s: float | None = None
) -> dict[str, str] | None:
    """The fields of INFO, or of some sections; None where our user has no right to ask for it."""
    try:
        reply = servers.one("INFO", *sections, server=server, timeout_s=timeout_s)
    except ServerRefused:
        return None
    return dict(line.split(":", 1) for line in reply.decode().splitlines() if ":" in line)


def memory_left(servers: Servers) -> int | None:
    """Bytes up to a server's ``maxmemory``; None if it has none, or does not say."""
    info = None if servers.is_cluster() else read_info(servers, "memory")
    most = 0 if info is None else int(info.get("maxmemory", 0))
    return None if info is None or not most else max(0, most - int(info["used_memory"]))


def server_name(info: Mapping[str, str]) -> str:
    """Name and version of a server from its INFO, as "Valkey 9.0.1" or "Redis 7.0.15"."""
    if "valkey_version" in info:
        return f"Valkey {info['valkey_version']}"
    return f"{info.get('server_name', 'redis').capitalize()} {info.get('redis_version', '?')}"
