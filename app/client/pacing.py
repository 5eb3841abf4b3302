"""Many commands to a server that others use: some at a time, so that they get their turn.

A server works off all that a client has sent before it turns to anybody else.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from distbelief.app.client.commands import Command, Reply
from distbelief.app.client.rounds import Lane
from distbelief.app.client.servers import Servers


def call_paced(
    servers: Servers, commands: Sequence[Command], at_a_time: Sequence[int]
) -> list[Reply]:
    """The replies in order; each server gets at most ``at_a_time`` of its commands at once.

    Raises like :meth:`~distbelief.app.client.servers.Servers.call`.
    """
    waves: dict[int, list[int]] = defaultdict(list)
    before = Counter[Lane]()
    for index, command in enumerate(commands):
        lane = servers.lane(command)
        waves[before[lane] // at_a_time[command.server]].append(index)
        before[lane] += 1
    replies: list[Reply] = [None] * len(commands)
    for wave in waves.values():
        answers = servers.call([commands[index] for index in wave])
        for index, reply in zip(wave, answers, strict=True):
            replies[index] = reply
    return replies
