"""Servers that others use get some commands at a time, and all replies are in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from distbelief.app.client.commands import Command, Reply
from distbelief.app.client.pacing import call_paced
from distbelief.app.client.rounds import Lane
from distbelief.app.client.servers import Servers


class Echo:
    """Stands for servers that answer with what they were sent."""

    def __init__(self) -> None:
        self.waves: list[Counter[int]] = []
        self.sent: list[Command] = []

    def lane(self, command: Command) -> Lane:
        return Lane(command.server)

    def call(self, commands: Sequence[Command]) -> list[Reply]:
        self.waves.append(Counter(command.server for command in commands))
        self.sent += commands
        return [command.arguments for command in commands]


@given(st.lists(st.integers(0, 2)), st.tuples(*[st.integers(1, 4)] * 3))
def test_no_server_gets_more_at_once_than_it_may(
    servers: list[int], at_a_time: tuple[int, ...]
) -> None:
    echo = Echo()
    commands = [Command(server, (index,)) for index, server in enumerate(servers)]
    replies = call_paced(cast("Servers", echo), commands, at_a_time)
    assert replies == [command.arguments for command in commands]
    for wave in echo.waves:
        assert all(count <= at_a_time[server] for server, count in wave.items())
    for server in range(3):  # each has them in their order
        assert [c for c in echo.sent if c.server == server] == [
            c for c in commands if c.server == server
        ]


def test_what_may_be_sent_at_once_is() -> None:
    echo = Echo()
    call_paced(cast("Servers", echo), [Command(index % 2, ()) for index in range(6)], [3, 3])
    assert echo.waves == [Counter({0: 3, 1: 3})]
