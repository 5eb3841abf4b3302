"""Replies of one connection, in the order of what was sent there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from distbelief.app.client.commands import Reply
from distbelief.app.client.pools import Connection
from distbelief.app.client.rounds import Lane
from distbelief.app.client.wire import Argument, ReplyBuffer, ReplyReader

Read = Callable[[ReplyBuffer | None], Reply]


def sent_words(
    commands: Sequence[tuple[Argument, ...]], lane: Lane
) -> Sequence[tuple[Argument, ...]]:
    """What is sent for commands: on a lane for asking, each behind the word for that."""
    if not lane.asking:
        return commands
    return [words for each in commands for words in (("ASKING",), each)]


def reader(connection: Connection, buffers: Sequence[ReplyBuffer | None], lane: Lane) -> Read:
    """Our reader where a reply has a buffer to go into, else that of redis-py: it is faster."""
    read: Read = (
        ReplyReader(connection).read if any(buffers) else lambda _: connection.read_response()
    )
    if not lane.asking:
        return read

    def read_behind(into: ReplyBuffer | None) -> Reply:
        read(None)  # the answer to ASKING
        return read(into)

    return read_behind
