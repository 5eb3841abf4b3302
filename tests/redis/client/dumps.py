"""All keys of a pattern as they are, and servers that come back with them: older data."""

from __future__ import annotations

from distbelief.app.client.commands import Command
from distbelief.app.client.servers import Servers

Dump = dict[bytes, bytes]


def dumped(servers: Servers, pattern: str, server: int = 0) -> Dump:
    keys = servers.one("KEYS", pattern, server=server)
    values = servers.call([Command(server, ("DUMP", key)) for key in keys])
    return dict(zip(keys, values, strict=True))


def put_back(servers: Servers, pattern: str, server: int, older: Dump) -> None:
    """Have a server hold what it held, and no other keys of the pattern."""
    newer = servers.one("KEYS", pattern, server=server)
    commands = [Command(server, ("DEL", key)) for key in newer]
    commands += [Command(server, ("RESTORE", key, 0, value)) for key, value in older.items()]
    servers.call(commands)
