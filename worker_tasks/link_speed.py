"""The speed of the way between this worker and the parameter servers, in both directions."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from distbelief.app.client.commands import Command
from distbelief.app.layout.keys import shard
from distbelief.app.store.contract.parameters import Token
from distbelief.worker_tasks.context import RunContext
from distbelief.worker_tasks.observations import sampled, until

#: Bytes of the first message, and of the longest; one takes a tenth of a second, if it can.
FIRST_BYTES, MOST_BYTES, WANTED_S = 256 << 10, 16 << 20, 0.1

#: Round trips of an empty question.
ROUND_TRIPS = 20


def link_speed(
    context: RunContext, token: Token, words: dict[str, Any], check: Callable[[], None]
) -> dict[str, Any]:
    """Send bytes to all servers at once and take them back, for ``seconds``: bytes a second."""
    servers, size = context.servers, FIRST_BYTES
    keys = [shard(context.record.run, each, f"link:{token.stream}") for each in range(len(servers))]
    trips, up, down = list[float](), list[float](), list[float]()
    try:
        for _ in range(ROUND_TRIPS):
            trips.append(_seconds(lambda: servers.one("PING")))
        for _ in until(words["seconds"], check):
            there = os.urandom(size // len(servers))
            sending = [Command(i, ("HSET", key, "bytes", there)) for i, key in enumerate(keys)]
            asking = [Command(i, ("HGET", key, "bytes")) for i, key in enumerate(keys)]
            took = _seconds(lambda: servers.call(sending))  # noqa: B023
            up.append(len(there) * len(servers) / took)
            back = _seconds(lambda: servers.call(asking))  # noqa: B023
            down.append(len(there) * len(servers) / back)
            if max(took, back) < WANTED_S / 2:
                size = min(2 * size, MOST_BYTES)
    finally:
        servers.call([Command(index, ("UNLINK", key)) for index, key in enumerate(keys)])
    return {
        "round_trip_s": sampled(trips),
        "up": sampled(up[len(up) // 2 :]),
        "down": sampled(down[len(down) // 2 :]),
    }


def _seconds(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    return time.perf_counter() - began
