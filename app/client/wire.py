"""Numbers on the wire without copies on the way: from arrays to a socket, and into arrays.

redis-py's packing and parsing make a few copies of every argument and every reply, which is
what a push or a fetch of many numbers would spend its time on. Here large arguments go to the
socket as they lie, and replies that have a buffer are read into it.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import hiredis
import numpy as np
import numpy.typing as npt
import redis

from distbelief.app.client.pools import Connection

Argument = str | bytes | int | memoryview

#: Shorter arguments are cheaper to copy than to send by themselves.
LEAST_APART = 4096

#: Sent at a time: each such stretch has a socket's timeout for itself, also on a slow link.
SENT_BYTES = 1 << 18

#: Read at a time where lines are to come: little, for what follows is read where it belongs.
READ_BYTES = 4096


@dataclass(frozen=True)
class ReplyBuffer:
    """Memory for the strings of an array reply, from its element ``skip`` on: one after another.

    In the reply, such a string is replaced by its length.
    """

    room: memoryview
    skip: int = 0


def raw(numbers: npt.NDArray[Any]) -> memoryview:
    """The bytes of an array without gaps, where they lie."""
    return numbers.view(np.uint8).data


def packed(commands: Sequence[Sequence[Argument]]) -> list[bytes | memoryview]:
    """Commands as pieces to be sent one after another; large ``memoryview`` ones by themselves."""
    pieces: list[bytes | memoryview] = []
    small: list[bytes] = []
    for words in commands:
        if any(isinstance(word, memoryview) for word in words):
            for piece in _apart(words):
                if isinstance(piece, memoryview):
                    pieces += [b"".join(small), piece]
                    small = []
                else:
                    small.append(piece)
        else:
            small.append(hiredis.pack_command(tuple(words)))  # type: ignore[arg-type]  # no memoryview
    if small:
        pieces.append(b"".join(small))
    return pieces


def stretches(pieces: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    """The same bytes, in pieces that are not large."""
    for piece in pieces:
        if len(piece) <= SENT_BYTES:
            yield piece
        else:
            whole = memoryview(piece)
            yield from (whole[at : at + SENT_BYTES] for at in range(0, len(whole), SENT_BYTES))


def _apart(words: Sequence[Argument]) -> Iterator[bytes | memoryview]:
    """One command, with its large arguments apart."""
    yield b"*%d\r\n" % len(words)
    for word in words:
        if not isinstance(word, memoryview):
            yield _counted(word)
        elif word.nbytes < LEAST_APART:
            yield _counted(bytes(word))
        else:
            yield b"$%d\r\n" % word.nbytes
            yield word
            yield b"\r\n"


def _counted(word: str | bytes | int) -> bytes:
    """An argument behind its length."""
    text = word if isinstance(word, bytes) else str(word).encode()
    return b"$%d\r\n%b\r\n" % (len(text), text)


class ReplyReader:
    """Reads the replies of one connection, which owes no others.

    Errors are redis-py's: ConnectionError, TimeoutError, and a ResponseError for a reply that
    is one, after which the next can be read.
    """

    def __init__(self, connection: Connection) -> None:
        self._socket = _socket_of(connection)
        self._parser = connection._parser
        self._buffer = bytearray(READ_BYTES)
        self._start = 0
        self._end = 0
        self._into: ReplyBuffer | None = None
        self._written = 0

    def read(self, into: ReplyBuffer | None = None) -> Any:
        """The next reply."""
        self._into, self._written = into, 0
        reply = self._element(-1)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def _element(self, index: int) -> Any:
        """One value; ``index`` is where it stands in the array that it belongs to, else -1."""
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"$":
            return self._string(int(rest), index)
        if kind == b":":
            return int(rest)
        if kind == b"*":
            count = int(rest)
            return None if count < 0 else [self._element(each) for each in range(count)]
        if kind == b"+":
            return rest
        if kind == b"-":
            return self._parser.parse_error(rest.decode(errors="replace"))
        raise redis.InvalidResponse(f"a reply begins with {line[:20]!r}")

    def _string(self, length: int, index: int) -> Any:
        if length < 0:
            return None
        into = self._into
        if into is None or not 0 <= into.skip <= index:
            string = bytearray(length)
            self._fill(memoryview(string))
            self._skip_line_end()
            return bytes(string)
        room = into.room[self._written : self._written + length]
        if room.nbytes < length:
            raise redis.InvalidResponse(f"{length} bytes, but there is room for {room.nbytes}")
        self._fill(room)
        self._skip_line_end()
        self._written += length
        return length

    def _line(self) -> bytes:
        """The next line, without its end."""
        while (at := self._buffer.find(b"\r\n", self._start, self._end)) < 0:
            self._more()
        line = bytes(self._buffer[self._start : at])
        self._start = at + 2
        return line

    def _more(self) -> None:
        """Read what is there, behind what was not used yet."""
        left = self._buffer[self._start : self._end]
        if len(left) == READ_BYTES:
            raise redis.InvalidResponse(f"a line without an end: {bytes(left[:20])!r}")
        self._buffer[: len(left)] = left
        self._start, self._end = 0, len(left)
        self._end += self._receive(memoryview(self._buffer)[self._end :])

    def _fill(self, room: memoryview) -> None:
        """Read as many bytes as ``room`` has."""
        have = min(self._end - self._start, room.nbytes)
        room[:have] = self._buffer[self._start : self._start + have]
        self._start += have
        while have < room.nbytes:
            have += self._receive(room[have:])

    def _skip_line_end(self) -> None:
        while self._end - self._start < 2:
            self._more()
        self._start += 2

    def _receive(self, room: memoryview) -> int:
        try:
            count = self._socket.recv_into(room)
        except TimeoutError as error:
            raise redis.TimeoutError("Timeout reading from socket") from error
        except OSError as error:
            raise redis.ConnectionError(f"Error while reading from socket: {error}") from error
        if count == 0:
            raise redis.ConnectionError("Connection closed by server.")
        return int(count)


def _socket_of(connection: Connection) -> socket.socket:
    """Raises ConnectionError if somebody has just closed the connection."""
    open_one: socket.socket | None = connection._sock
    if open_one is None:
        raise redis.ConnectionError("the connection was closed")
    return open_one
