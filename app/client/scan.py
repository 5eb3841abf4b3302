"""Walks through the keys of a server, or the fields of a hash, without holding the server up."""

from __future__ import annotations

from collections.abc import Iterator

from distbelief.app.client.servers import Servers
from distbelief.app.client.wire import Argument

#: Keys, or fields, that a server looks at in one step.
STEP = 1000


def scan_keys(servers: Servers, pattern: str, *, server: int = 0) -> Iterator[list[bytes]]:
    """Pages of the keys that match, some of which may be empty, or hold a key again."""
    skipped = len(servers.prefix(server))
    for part in servers.parts(server):
        for page in _pages(part, 0, ("SCAN",), ("MATCH", pattern)):
            yield [key[skipped:] for key in page]


def scan_hash(servers: Servers, key: str, *, server: int = 0) -> Iterator[list[bytes]]:
    """Pages of a hash, each of fields and values in turn."""
    return _pages(servers, server, ("HSCAN", key), ())


def _pages(
    servers: Servers, server: int, before: tuple[Argument, ...], behind: tuple[Argument, ...]
) -> Iterator[list[bytes]]:
    cursor: Argument = 0
    while True:
        command = (*before, cursor, *behind, "COUNT", STEP)
        cursor, page = servers.one(*command, server=server)
        yield page
        if int(cursor) == 0:
            return
