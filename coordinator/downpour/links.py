"""The links between workers and parameter servers, measured by the workers before a training."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from distbelief.app.client.servers import Servers
from distbelief.coordinator.runs.messages import Messages

#: Workers that measure at the same time, at most: servers hold what they send.
MOST_WORKERS = 16

#: How long workers may take.
LONGEST_S = 8.0


@dataclass(frozen=True)
class Link:
    """A worker's way to the parameter servers, all at once, while others use theirs.

    Bytes a second up to them and down from them, and the seconds there and back.
    """

    up: float
    down: float
    round_trip_s: float

    def shared(self, count: int) -> Link:
        """What one of so many processes has of it that use it at the same time."""
        return Link(self.up / count, self.down / count, self.round_trip_s)

    def exchange_s(self, up_bytes: float, down_bytes: float) -> float:
        """Seconds that bytes take, one direction after the other."""
        return self.round_trip_s + up_bytes / self.up + down_bytes / self.down


def replica_links(messages: Messages, servers: Servers, replicas: int, n_bytes: int) -> list[Link]:
    """What replicas have of the links of workers that are there; none where servers are near."""
    kind, answers = messages.queue_of("downpour"), messages.answers("queues")
    processes = {name: int(each["processes"]) for name, each in answers if kind in each["queues"]}
    if not processes:
        return []
    found = measure_links(messages, servers, sorted(processes)[:replicas], n_bytes)
    share = math.ceil(replicas / len(processes))
    return [link.shared(max(1, min(share, processes[name]))) for name, link in found.items()]


def measure_links(
    messages: Messages, servers: Servers, workers: Collection[str], n_bytes: int
) -> dict[str, Link]:
    """Have workers measure their links at the same time, for exchanges of so many bytes.

    One that is on the servers' machine has none, nor one that does not answer, or in time.
    """
    waiting, found = sorted(workers)[:MOST_WORKERS], dict[str, Link]()
    words = {
        "word": uuid.uuid4().hex,
        "servers": servers.addresses,
        "most_bytes": n_bytes,
    }
    deadline = time.monotonic() + LONGEST_S
    while waiting and time.monotonic() < deadline:
        answers = messages.ask("link", to=waiting, **words)
        found |= {name: each for name, answer in answers.items() if (each := _link(answer))}
        waiting = [name for name in waiting if answers.get(name, {"pending": True}).get("pending")]
    return found


def _link(answer: dict[str, Any]) -> Link | None:
    """What a worker has measured; None if nothing, or not yet."""
    if not answer.keys() >= {"up", "down", "round_trip_s"}:
        return None
    return Link(answer["up"], answer["down"], answer["round_trip_s"])
