"""The speed of the way between this worker and the parameter servers, in both directions."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from distbelief.app.client.commands import Command
from distbelief.app.layout.keys import shard
from distbelief.app.store.contract.parameters import Token
from distbelief.worker_tasks.context import RunContext
from distbelief.worker_tasks.observations import sampled, until

#: Bytes of the first message, and of the longest; the longer of two takes a third of a second, if
#: there is so much.
FIRST_BYTES, MOST_BYTES, WANTED_S = 1 << 20, 32 << 20, 0.3

#: The shorter of two messages is that many times shorter.
SHORTER = 4

#: Bytes a second where a longer message takes no longer.
ENDLESS = 1e12

#: Round trips of an empty question.
ROUND_TRIPS = 20


def link_speed(
    context: RunContext, token: Token, words: dict[str, Any], check: Callable[[], None]
) -> dict[str, Any]:
    """Send bytes to all servers at once and take them back, for ``seconds``: bytes a second."""
    way = _Way(context, token.stream)
    up, down = list[float](), list[float]()
    try:
        trips = [_seconds(lambda: context.servers.one("PING")) for _ in range(ROUND_TRIPS)]
        size = FIRST_BYTES
        for _ in until(words["seconds"], check):
            sizes = size // SHORTER, size
            sent, received = zip(*map(way.there_and_back, sizes), strict=True)
            up += slope(sizes, sent)
            down += slope(sizes, received)
            if max(sent[1], received[1]) < WANTED_S:
                size = min(2 * size, MOST_BYTES)
    finally:
        way.clear()
    # The last ones are the longest; a link of which nothing could be told is no limit.
    later = (up[len(up) // 2 :] or [ENDLESS], down[len(down) // 2 :] or [ENDLESS])
    return {
        "round_trip_s": sampled(trips),
        "up": sampled(later[0]),
        "down": sampled(later[1]),
    }


def slope(sizes: Sequence[int], seconds: Sequence[float]) -> list[float]:
    """Bytes a second by which a longer message takes longer; nothing if it does not.

    So neither the way there counts, nor what a link lets through at once before it limits.
    """
    (short, long), (before, after) = sizes, seconds
    return [(long - short) / (after - before)] if after > before else []


class _Way:
    """A key on each server, to which bytes go and from which they come back."""

    def __init__(self, context: RunContext, stream: int) -> None:
        self._servers = context.servers
        run, numbers = context.record.run, range(len(context.servers))
        self._keys = [shard(run, index, f"link:{stream}") for index in numbers]
        self._bytes = os.urandom(MOST_BYTES)

    def there_and_back(self, size: int) -> tuple[float, float]:
        """Seconds that so many bytes, divided among the servers, take to them and from them."""
        part = self._bytes[: size // len(self._keys)]
        sending = [Command(i, ("HSET", key, "bytes", part)) for i, key in enumerate(self._keys)]
        asking = [Command(i, ("HGET", key, "bytes")) for i, key in enumerate(self._keys)]
        return (
            _seconds(lambda: self._servers.call(sending)),
            _seconds(lambda: self._servers.call(asking)),
        )

    def clear(self) -> None:
        self._servers.call([Command(i, ("UNLINK", key)) for i, key in enumerate(self._keys)])


def _seconds(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    return time.perf_counter() - began
