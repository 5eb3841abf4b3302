"""The speed of the way between this worker and the parameter servers, in both directions."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from distbelief.app.client.commands import Command
from distbelief.app.client.servers import Servers
from distbelief.app.errors import ServerRefused
from distbelief.app.layout.keys import TRIAL_S, shard
from distbelief.app.store.contract.parameters import Token
from distbelief.worker_tasks.context import RunContext
from distbelief.worker_tasks.observations import sampled, until

#: Bytes of the first message, and of the longest; the longer of two takes a third of a second, if
#: there is so much.
FIRST_BYTES, MOST_BYTES, WANTED_S = 1 << 20, 32 << 20, 0.3

#: A message is so many bytes at a time: while somebody handles one part, the next is on its way, so
#: that the time is the link's, not theirs.
PART_BYTES = 128 << 10

#: The shorter of two messages is that many times shorter.
SHORTER = 4

#: Bytes a second where a longer message takes no longer.
ENDLESS = 1e12

#: Round trips of an empty question.
ROUND_TRIPS = 20


def link_speed(
    context: RunContext, token: Token, words: dict[str, Any], check: Callable[[], None]
) -> dict[str, Any]:
    """Send bytes to servers and take them back, for ``seconds``: bytes a second.

    To all servers at once, unless the specification names one.
    """
    servers = range(len(context.servers)) if words.get("server") is None else [words["server"]]
    way = Way(context.servers, context.record.run, f"link:{token.stream}", servers)
    up, down, burst = list[float](), list[float](), list[float]()
    try:
        trips = [seconds_of(lambda: context.servers.one("PING")) for _ in range(ROUND_TRIPS)]
        trip_s, size = min(trips), FIRST_BYTES
        for _ in until(words["seconds"], check):
            sizes = size // SHORTER, size
            sent, received = zip(*map(way.there_and_back, sizes), strict=True)
            for took, seen in ((sent, up), (received, down)):
                found = slope(sizes, took)
                seen.extend(found)
                burst += [at_once(sizes[0], took[0] - trip_s, each) for each in found]
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
        "burst": sampled(burst[len(burst) // 2 :]),
    }


def slope(sizes: Sequence[int], seconds: Sequence[float]) -> list[float]:
    """Bytes a second by which a longer message takes longer; nothing if it does not.

    So neither the way there counts, nor what a link lets through at once before it limits.
    """
    (short, long), (before, after) = sizes, seconds
    return [(long - short) / (after - before)] if after > before else []


def at_once(size: int, seconds: float, rate: float) -> float:
    """Bytes of a message that a link let through before it limited the rest to ``rate``."""
    return min(float(size), max(0.0, size - rate * seconds))


class Way:
    """Keys on servers, to which bytes go and from which they come back; they are called ``name``.

    They are gone after a while, too, if nobody clears them.

    Args:
        run: whose keys they are.
        indices: of the servers.
    """

    def __init__(self, servers: Servers, run: str, name: str, indices: Sequence[int]) -> None:
        self._servers = servers
        self._keys = {index: shard(run, index, name) for index in indices}
        self._bytes = os.urandom(PART_BYTES)
        self._ends = False

    def there_and_back(self, size: int) -> tuple[float, float]:
        """Seconds that so many bytes, divided among the servers, take to them and from them."""
        self._end_some_time()
        sending, asking = list[Command](), list[Command]()
        for server, key in self._keys.items():
            left = size // len(self._keys)
            for number in range(-(-left // PART_BYTES)):
                part = self._bytes[: left - number * PART_BYTES]
                sending.append(Command(server, ("HSET", key, number, part)))
                asking.append(Command(server, ("HGET", key, number)))
        return (
            seconds_of(lambda: self._servers.call(sending)),
            seconds_of(lambda: self._servers.call(asking)),
        )

    def _end_some_time(self) -> None:
        """Before there is much in the keys: who measures may be killed. Not all servers let us."""
        if self._ends:
            return
        self._ends = True
        for index, key in self._keys.items():
            begun = Command(index, ("HSET", key, 0, b""))
            with suppress(ServerRefused):
                self._servers.call([begun, Command(index, ("PEXPIRE", key, 1000 * TRIAL_S))])

    def clear(self) -> None:
        self._servers.call([Command(i, ("UNLINK", key)) for i, key in self._keys.items()])


def seconds_of(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    return time.perf_counter() - began
