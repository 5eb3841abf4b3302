"""Bytes between a client and its servers, as the client counts them.

What is sent is counted to the last byte; of a reply only its values are, which leaves out a few
bytes around each.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from distbelief.app.client.wire import ReplyBuffer

#: A number in a reply, with what is around it.
NUMBER_BYTES = 8


@dataclass(frozen=True)
class Moved:
    """Bytes that were sent and received."""

    sent: int = 0
    received: int = 0

    def __add__(self, other: Moved) -> Moved:
        return Moved(self.sent + other.sent, self.received + other.received)

    def __sub__(self, other: Moved) -> Moved:
        return Moved(self.sent - other.sent, self.received - other.received)


class Traffic:
    """Counts the bytes of a client, for all its threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._moved = Moved()

    @property
    def moved(self) -> Moved:
        """All bytes so far."""
        return self._moved

    def note(self, moved: Moved) -> None:
        with self._lock:
            self._moved += moved


def sent_bytes(pieces: Sequence[bytes | memoryview]) -> int:
    return sum(memoryview(piece).nbytes for piece in pieces)


def reply_bytes(reply: Any, into: ReplyBuffer | None = None) -> int:
    """The bytes of a reply; where strings went ``into`` a buffer, it has their lengths."""
    if isinstance(reply, bytes):
        return len(reply)
    if not isinstance(reply, list):
        return NUMBER_BYTES
    if into is None:
        return sum(map(reply_bytes, reply))
    apart = sum(each for each in reply[into.skip :] if isinstance(each, int))
    return apart + sum(map(reply_bytes, reply[: into.skip]))
