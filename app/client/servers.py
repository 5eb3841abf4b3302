"""The wire: many commands to many servers at once, each until it is answered.

redis-py's own retries are switched off: it re-sends after a lost reply without telling,
and only we know which commands may be sent twice (all of ours: each is idempotent by its
sequence number, its attempt or its content). So there is one retry loop, here, and it has
a deadline.

All servers work at the same time: the commands for every server are written first, then
the answers are read. A server that fails is asked again alone; answers that came stay.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from copy import copy

from distbelief.app.client.commands import Command, Reply
from distbelief.app.client.engine import Choice, Engine
from distbelief.app.client.exchanges import Exchanges
from distbelief.app.client.failures import complaint, given_up
from distbelief.app.client.rounds import Round
from distbelief.app.client.routes import Route, make_route
from distbelief.app.client.wire import Argument

SOCKET_TIMEOUT_S = 10.0
#: A blocking command must be answered before the socket's timeout.
LONGEST_WAIT_S = SOCKET_TIMEOUT_S / 2
FIRST_PAUSE_S = 0.02
LONGEST_PAUSE_S = 1.0

#: From when on somebody who waits with us wants to know why.
WAIT_WORTH_SAYING_S = 3.0

#: How long calls of ours may keep others on a server waiting, unless a run says otherwise.
CALL_MS = 10.0

#: Told what is wrong with a server, and for how many seconds the call has waited.
Waiting = Callable[[str, float], None]


class Servers(Exchanges):
    """Clients of a fixed list of servers, for one process; threads may share it.

    Make it after a fork, never before: connections do not survive one. ``waiting`` is
    called now and then, on the thread of the call, while a call has to wait for long.
    ``engines``, one for each server, are those that
    :func:`distbelief.app.store.engines.choose_engines` found elsewhere. ``call_ms`` is how
    long calls may keep others on a server waiting; whoever makes the calls heeds it.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        deadline_s: float = 60.0,
        waiting: Waiting | None = None,
        engines: Sequence[Engine] = (),
        call_ms: float = CALL_MS,
    ) -> None:
        choices = [Choice(engine) for engine in engines or [Engine.LUA] * len(urls)]
        super().__init__([make_route(url, SOCKET_TIMEOUT_S) for url in urls], choices)
        self.deadline_s = deadline_s
        self.waiting = waiting
        self.call_ms = call_ms

    def __len__(self) -> int:
        return len(self._routes)

    def only(self, index: int) -> Servers:
        """One of the servers alone, over the same connections."""
        return self._over(self._routes[index], self.choices[index])

    def parts(self, index: int) -> list[Servers]:
        """Each node with keys of one of the servers, which has several if it is a cluster.

        What concerns no key goes to that node, the rest to wherever the keys are.

        Raises:
            ServerError: a cluster does not tell its nodes.
        """
        if self.is_cluster(index):
            # One that has gone would never answer, and its keys are elsewhere.
            self._routes[index].forget()
            self.one("PING", server=index)  # from then on its nodes are known
        with self._telling(index):
            parts = self._routes[index].parts()
        return [self._over(part, self.choices[index]) for part in parts]

    def bare(self, index: int) -> Servers:
        """One of the servers, with all keys that others have there."""
        one = self.only(index)
        one._routes = [self._routes[index].bare()]
        return one

    @property
    def engines(self) -> tuple[Engine, ...]:
        """The engine of each server."""
        return tuple(choice.engine for choice in self.choices)

    def call(self, commands: Sequence[Command], *, timeout_s: float | None = None) -> list[Reply]:
        """Send all ``commands`` and return their replies in order.

        Commands for one server run in their order, and servers side by side. One that
        fails for a while is asked again, after the others.

        Raises:
            ServerUnreachable: no answer within the deadline (default ``deadline_s``).
            AuthenticationFailed: wrong or missing password.
            ServerRefused: the server answered with an error that asking again cannot mend,
                or it is out of memory beyond the deadline.
        """
        began = time.monotonic()
        replies: list[Reply] = [None] * len(commands)
        missing = list(range(len(commands)))
        pause = FIRST_PAUSE_S
        outcome = Round()
        while True:
            outcome = self._round(commands, missing, replies, Round.behind(outcome))
            missing = outcome.missing
            if not missing:
                return replies
            # Looked at anew each time: meanwhile somebody may be in a hurry.
            deadline_s = self.deadline_s if timeout_s is None else timeout_s
            for lane, failure in outcome.failures.items():
                where = self._where(lane)
                waited_s = time.monotonic() - began
                if waited_s + pause > deadline_s:
                    raise given_up(where, deadline_s, failure)
                if self.waiting is not None and waited_s > WAIT_WORTH_SAYING_S:
                    self.waiting(complaint(where, failure), waited_s)
            if outcome.failures:
                time.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(2 * pause, LONGEST_PAUSE_S)

    def one(self, *arguments: Argument, server: int = 0, timeout_s: float | None = None) -> Reply:
        """Send one plain command to one server."""
        return self.call([Command(server, arguments)], timeout_s=timeout_s)[0]

    def pop(self, key: str, timeout_s: float) -> bytes | None:
        """The first element of a list on the first server, or None if none comes in time.

        A wait longer than ``LONGEST_WAIT_S`` ends then. An element whose reply was lost is lost.
        """
        seconds = min(max(timeout_s, 0.001), LONGEST_WAIT_S)  # zero would mean for ever
        reply = self.one("BLPOP", key, f"{seconds:.3f}")
        return None if reply is None else bytes(reply[1])

    def hurry(self, deadline_s: float) -> None:
        """From now on give up after ``deadline_s``, also in calls that are under way."""
        self.deadline_s = deadline_s
        before, self._routes = self._routes, [each.hurried(deadline_s) for each in self._routes]
        for each in before:
            each.disconnect()  # wakes whoever reads from a frozen server

    def close(self) -> None:
        for each in self._routes:
            each.disconnect()
        self._shared.close()

    def _over(self, route: Route, choice: Choice) -> Servers:
        one = copy(self)
        one.addresses, one._routes, one.choices = [route.address], [route], [choice]
        return one
