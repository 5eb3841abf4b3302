"""All keys of a pattern on one server: counted, removed, given an end, or kept after all.

In small batches, so that nobody else on that server waits for us.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from distbelief.app.client.commands import Command
from distbelief.app.client.scan import scan_keys
from distbelief.app.client.servers import Servers
from distbelief.app.client.wire import Argument
from distbelief.app.errors import ServerRefused

#: Keys that a server deals with in one go.
BATCH = 100


@dataclass(frozen=True)
class Amount:
    """Keys, and about how many bytes they take; None where a server does not say that."""

    keys: int = 0
    bytes: int | None = 0

    def __add__(self, other: Amount) -> Amount:
        known = self.bytes is not None and other.bytes is not None
        return Amount(self.keys + other.keys, self.bytes + other.bytes if known else None)  # type: ignore[operator]  # both are known


def count(servers: Servers, pattern: str, *, server: int = 0) -> Amount:
    """Count the keys that are there."""
    found, seen = Amount(), set[bytes]()
    for keys in _batches(servers, pattern, server):
        fresh = [key for key in dict.fromkeys(keys) if key not in seen]
        seen.update(fresh)
        found += Amount(len(fresh), _bytes_of(servers, fresh, server))
    return found


def unlink(
    servers: Servers, pattern: str, *, server: int = 0, but: frozenset[str] = frozenset()
) -> Amount:
    """Remove the keys, all ``but`` those; how many there were."""
    spared, removed = {key.encode() for key in but}, Amount()
    for batch in _batches(servers, pattern, server):
        keys = [key for key in batch if key not in spared]
        if keys:
            taken = _bytes_of(servers, keys, server)
            # One by one: in a cluster a command has keys of one node.
            gone = servers.call([Command(server, ("UNLINK", key)) for key in keys])
            removed += Amount(sum(gone), taken)
    return removed


def expire(servers: Servers, pattern: str, seconds: float, *, server: int = 0) -> None:
    """Have the server remove the keys after ``seconds``, all of them at the same instant.

    Its own clock counts. So there is never a part of them that outlives the others.
    """
    time_s, micros = servers.one("TIME", server=server)
    at_ms = int(time_s) * 1000 + int(micros) // 1000 + round(seconds * 1000)
    _each(servers, pattern, server, lambda key: ("PEXPIREAT", key, at_ms))


def persist(servers: Servers, pattern: str, *, server: int = 0) -> None:
    """Have the server keep keys that had been given an end."""
    _each(servers, pattern, server, lambda key: ("PERSIST", key))


def _each(
    servers: Servers, pattern: str, server: int, command: Callable[[bytes], tuple[Argument, ...]]
) -> None:
    for keys in _batches(servers, pattern, server):
        servers.call([Command(server, command(key)) for key in keys])


def _batches(servers: Servers, pattern: str, server: int) -> Iterator[list[bytes]]:
    for page in scan_keys(servers, pattern, server=server):
        for first in range(0, len(page), BATCH):
            yield page[first : first + BATCH]


def _bytes_of(servers: Servers, keys: Sequence[bytes], server: int) -> int | None:
    """None where the access list does not let us ask."""
    with suppress(ServerRefused):
        asked = servers.call([Command(server, ("MEMORY", "USAGE", key)) for key in keys])
        return sum(size or 0 for size in asked)
    return None
