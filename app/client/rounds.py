"""Outcome of one attempt at many commands: those to retry, and failures."""

from __future__ import annotations

from dataclasses import dataclass, field

import redis

from distbelief.app.client.scripts import Script

#: The name of a node of a cluster; empty for a server that is one.
Node = str


@dataclass(frozen=True)
class Lane:
    """Commands for one node of one server, which it gets over one connection.

    With ``asking`` it answers them though it does not have their keys yet, or not all of them.
    """

    server: int
    node: Node = ""
    asking: bool = False


@dataclass
class Round:
    """Commands to retry after one attempt, by their index, and the failure of each lane.

    A failure wants a pause before the next attempt. ``loaded`` are the lanes and scripts that
    this round brought together, ``sent_on`` are commands that another node of their cluster has;
    ``asked`` is that node where it has them for this time only.
    """

    before: Round | None = None
    loaded: set[tuple[Lane, str]] = field(default_factory=set)
    sent_on: set[int] = field(default_factory=set)
    asked: dict[int, Node] = field(default_factory=dict)
    missing: list[int] = field(default_factory=list)
    failures: dict[Lane, Exception] = field(default_factory=dict)

    @classmethod
    def behind(cls, before: Round) -> Round:
        """The round after ``before``, which forgets those before that one."""
        before.before = None
        return cls(before)

    def add(self, lane: Lane, indices: list[int], failure: Exception) -> None:
        self.missing.extend(indices)
        self.failures[lane] = failure

    def add_unknown(self, lane: Lane, index: int, script: Script, failure: Exception) -> None:
        """A script that the server lacks; to lack it just after it was loaded is a failure."""
        self.missing.append(index)
        self.loaded.add((lane, script.sha))
        if self.before is not None and (lane, script.sha) in self.before.loaded:
            self.failures[lane] = failure

    def send_on(self, lane: Lane, index: int, error: redis.exceptions.AskError, to: Node) -> None:
        """Another node has the key; to be sent on from there at once is a failure."""
        self.missing.append(index)
        moved = isinstance(error, redis.exceptions.MovedError)
        if not moved:
            self.asked[index] = to
        # A script that is loaded there meanwhile is asked for once more.
        elif self.before is not None and index in self.before.sent_on:
            self.failures[lane] = error
        if moved:
            self.sent_on.add(index)
