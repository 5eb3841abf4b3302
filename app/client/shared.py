"""Arrays of an exchange that are handed over in shared memory, beside the commands.

The server reads an array from a segment before it changes anything, and writes that of its reply
to the same place. Whatever is small, or has no room there, goes over the socket.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import redis

from distbelief.app.client.commands import Command, Reply
from distbelief.app.client.pools import Connection
from distbelief.app.client.segments import Segment, meet
from distbelief.app.client.wire import Argument, packed

#: How a server refuses a segment, before it has changed anything.
REFUSAL = "NOTSHARED"

#: Shorter arrays cost less on the socket than a file that is opened for them.
LEAST_BYTES = 128 << 10

#: An exchange has no more in shared memory; what is beyond goes over the socket.
MOST_BYTES = 256 << 20

#: Arrays begin where pages do.
PAGE_BYTES = 4096

#: A reply whose array is in shared memory has so many elements; the last says how long that is.
HANDED_BACK = 5


@dataclass(frozen=True)
class Place:
    """Where the array of a command and that of its reply are in a segment."""

    offset: int
    array: memoryview = field(default_factory=lambda: memoryview(b""))
    room: memoryview = field(default_factory=lambda: memoryview(b""))

    @property
    def nbytes(self) -> int:
        return max(self.array.nbytes, self.room.nbytes)


@dataclass
class Handover:
    """What one exchange hands over: ``places`` by the index of the command."""

    segment: Segment | None = None
    places: dict[int, Place] = field(default_factory=dict)
    #: Bytes that were sent, in either way.
    sent: int = 0

    def pieces(
        self, indices: Sequence[int], commands: Sequence[tuple[Argument, ...]]
    ) -> Iterator[bytes | memoryview]:
        """What to send, one command after another: the server is at work on the first by then."""
        for index, words in zip(indices, commands, strict=True):
            place = self.places.get(index)
            for piece in packed([words if place is None else self._put(place, words)]):
                self.sent += len(piece)
                yield piece

    def taken(self, index: int, reply: Reply) -> Reply:
        """The reply, with its array where it belongs, and the length of that in its place."""
        place = self.places.get(index)
        if place is None or not isinstance(reply, list) or len(reply) != HANDED_BACK:
            return reply
        *head, _, nbytes = reply
        assert self.segment is not None
        there = self.segment.bytes[place.offset : place.offset + nbytes]
        np.copyto(np.frombuffer(place.room[:nbytes], np.uint8), there)
        return [*head, nbytes]

    def _put(self, place: Place, words: tuple[Argument, ...]) -> tuple[Argument, ...]:
        """Lay a command's array down; its words without it."""
        assert self.segment is not None
        nbytes = place.array.nbytes
        there = self.segment.bytes[place.offset : place.offset + nbytes]
        np.copyto(there, np.frombuffer(place.array, np.uint8))
        self.sent += nbytes
        without = (b"" if word is place.array else word for word in words)
        return (*without, self.segment.name, place.offset, nbytes, place.room.nbytes)


class SharedMemory:
    """The segments of a client, for servers by their names.

    A process that was forked makes its own: what it inherits is the mapping of its parent, who may
    be in the middle of an exchange.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._folders: dict[str, Path | None] = {}
        self._free: dict[tuple[int, str], list[Segment]] = {}

    def folder(self, server: str, connection: Connection) -> Path | None:
        """What a server shares with this process; it is asked at first.

        Raises redis-py's errors.
        """
        if server not in self._folders:
            self._folders[server] = meet(connection)
        return self._folders[server]

    def refused(self, server: str, error: redis.ResponseError) -> bool:
        """Whether an error says that a segment cannot be used; from now on none will be."""
        if not str(error).startswith(REFUSAL):
            return False
        self._folders[server] = None
        return True

    @contextmanager
    def lend(
        self,
        server: str | None,
        connection: Connection,
        commands: Sequence[Command],
        unread: list[int],
    ) -> Iterator[Handover]:
        """Room for the arrays of an exchange; none if there is no ``server`` that shares any."""
        places = {} if server is None else _places(commands, unread)
        segment = self._segment(server, connection, places) if server and places else None
        if server is None or segment is None:
            yield Handover()
            return
        try:
            yield Handover(segment, places)
        finally:
            if unread:  # the server may write there later
                segment.close()
            else:
                with self._lock:
                    self._free.setdefault((os.getpid(), server), []).append(segment)

    def close(self) -> None:
        with self._lock:
            free, self._free = self._free, {}
        for segment in (each for several in free.values() for each in several):
            segment.close()

    def _segment(
        self, server: str, connection: Connection, places: dict[int, Place]
    ) -> Segment | None:
        """One that is large enough; None, from now on, where there is no room for it."""
        folder = self.folder(server, connection)
        if folder is None:
            return None
        need = max(place.offset + place.nbytes for place in places.values())
        with self._lock:
            free = self._free.get((os.getpid(), server))
            segment = free.pop() if free else None
        if segment is not None and segment.nbytes >= need:
            return segment
        if segment is not None:
            segment.close()
        try:
            return Segment(folder, need)
        except OSError:
            self._folders[server] = None
            return None


def _places(commands: Sequence[Command], indices: Sequence[int]) -> dict[int, Place]:
    """A place for each array that is worth it, as long as there is room."""
    places, end = dict[int, Place](), 0
    for index in indices:
        command = commands[index]
        if command.script is None or not command.script.hands_over:
            continue
        arrays = [word for word in command.arguments if isinstance(word, memoryview)]
        rooms = [command.into.room] if command.into is not None else []
        place = Place(end, *arrays or [memoryview(b"")], *rooms)
        after = end + -(-place.nbytes // PAGE_BYTES) * PAGE_BYTES
        if place.nbytes >= LEAST_BYTES and after <= MOST_BYTES:
            places[index], end = place, after
    return places
