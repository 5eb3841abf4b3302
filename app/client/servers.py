"""The wire: many commands to many servers at once, each until it is answered.

redis-py's own retries are switched off: it re-sends after a lost reply without telling,
and only we know which commands may be sent twice (all of ours: each is idempotent by its
sequence number, its attempt or its content). So there is one retry loop, here, and it has
a deadline.

All servers work at the same time: the commands for every server are written first, then
the answers are read. A server that fails is asked again alone; answers that came stay.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from copy import copy

import redis

from distbelief.app.client.addresses import address
from distbelief.app.client.commands import Command, Reply
from distbelief.app.client.credentials import file_credentials
from distbelief.app.client.engine import Choice, Engine
from distbelief.app.client.failures import (
    NOT_LET_IN,
    complaint,
    given_up,
    is_unknown,
    may_pass,
    not_let_in,
    refused,
)
from distbelief.app.client.pools import Connection, borrow, make_pool
from distbelief.app.client.rounds import Round
from distbelief.app.client.scripts import Script
from distbelief.app.client.wire import Argument, ReplyBuffer, ReplyReader, packed, stretches
from distbelief.app.errors import ServerRefused

log = logging.getLogger(__name__)


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


class Servers:
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
        self.addresses = [address(url) for url in urls]
        self.deadline_s = deadline_s
        self.waiting = waiting
        self.call_ms = call_ms
        self.choices = [Choice(engine) for engine in engines or [Engine.LUA] * len(urls)]
        self._urls = list(urls)
        self._credentials = [file_credentials(url) for url in urls]
        self._pools = self._make_pools(SOCKET_TIMEOUT_S)
        self._awaited: dict[int, tuple[str, float]] = {}

    def __len__(self) -> int:
        return len(self._pools)

    def only(self, index: int) -> Servers:
        """One of the servers alone, over the same connections."""
        one = copy(self)
        one.addresses, one._urls = [self.addresses[index]], [self._urls[index]]
        one.choices = [self.choices[index]]
        one._pools, one._credentials = [self._pools[index]], [self._credentials[index]]
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
            outcome = self._round(commands, missing, replies, outcome.loaded)
            missing = outcome.missing
            if not missing:
                return replies
            # Looked at anew each time: meanwhile somebody may be in a hurry.
            deadline_s = self.deadline_s if timeout_s is None else timeout_s
            for server, failure in outcome.failures.items():
                waited_s = time.monotonic() - began
                if waited_s + pause > deadline_s:
                    raise given_up(self.addresses[server], deadline_s, failure)
                if self.waiting is not None and waited_s > WAIT_WORTH_SAYING_S:
                    self.waiting(complaint(self.addresses[server], failure), waited_s)
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
        before, self._pools = self._pools, self._make_pools(deadline_s)
        for each in before:
            each.disconnect()  # wakes whoever reads from a frozen server

    def close(self) -> None:
        for each in self._pools:
            each.disconnect()

    def silent(self) -> list[tuple[str, float]]:
        """Servers that calls are waiting for at this moment, and for how many seconds."""
        now = time.monotonic()
        return [(f"{where} is silent", now - since) for where, since in [*self._awaited.values()]]

    def _make_pools(self, timeout_s: float) -> list[redis.ConnectionPool]:
        pairs = zip(self._urls, self._credentials, strict=True)
        return [make_pool(url, timeout_s, credentials) for url, credentials in pairs]

    @contextmanager
    def _awaiting(self, server: int) -> Iterator[None]:
        """Note that this thread waits for a server: a frozen one says nothing for long."""
        thread = threading.get_ident()
        self._awaited[thread] = self.addresses[server], time.monotonic()
        try:
            yield
        finally:
            del self._awaited[thread]

    def _let_in(self, server: int) -> None:
        """Note that a server has taken our user name and password."""
        credentials = self._credentials[server]
        if credentials is not None:
            credentials.accepted = True

    def _round(
        self,
        commands: Sequence[Command],
        wanted: list[int],
        replies: list[Reply],
        loaded: set[tuple[int, str]],
    ) -> Round:
        """Try every wanted command once; note what has to be asked again.

        ``loaded`` are the scripts that the round before gave to servers.
        """
        by_server: dict[int, list[int]] = defaultdict(list)
        for index in wanted:
            by_server[commands[index].server].append(index)
        outcome = Round(loaded_before=loaded)
        with ExitStack() as stack:
            sent: list[tuple[int, Connection]] = []
            for server, unread in by_server.items():
                with self._noting(server, unread, outcome), self._awaiting(server):
                    connection = stack.enter_context(borrow(self._pools[server], unread))
                    self._let_in(server)
                    engine = self.choices[server].engine
                    words = [commands[index].words(engine) for index in unread]
                    connection.send_packed_command(stretches(packed(words)))
                    sent.append((server, connection))
            for server, connection in sent:
                unread = by_server[server]
                with self._noting(server, unread, outcome), self._awaiting(server):
                    self._read(connection, commands, unread, replies, outcome)
        return outcome

    def _read(
        self,
        connection: Connection,
        commands: Sequence[Command],
        unread: list[int],
        replies: list[Reply],
        outcome: Round,
    ) -> None:
        """Read the replies of one server; ``unread`` shrinks as they come."""
        unknown: dict[str, Script] = {}
        refusal: ServerRefused | None = None
        read = _reader(connection, [commands[index].into for index in unread])
        while unread:
            index = unread[0]
            try:
                replies[index] = read(commands[index].into)
            except redis.exceptions.NoScriptError as error:
                script = commands[index].script
                assert script is not None  # only EVALSHA is answered so
                unknown[script.sha] = script
                outcome.add_unknown(commands[index].server, index, script, error)
            except redis.ResponseError as error:
                if may_pass(error):
                    outcome.add(commands[index].server, [index], error)
                elif self._lost_module(commands[index], error):
                    outcome.missing.append(index)
                else:
                    where, keys = self.addresses[commands[index].server], commands[index].keys
                    refusal = refusal or refused(where, error, keys)
                    refusal.__cause__ = refusal.__cause__ or error
            del unread[0]
        if refusal is not None:
            raise refusal
        # A restart, a failover or SCRIPT FLUSH: load what is missing and ask again, at once
        # where that may be enough.
        for script in unknown.values():
            connection.send_command("SCRIPT", "LOAD", script.source)
            connection.read_response()

    def _lost_module(self, command: Command, error: redis.ResponseError) -> bool:
        """Whether a restart took the native engine from a server: then Lua does the rest."""
        twin = command.script.twin if command.script is not None else None
        if twin is None or not is_unknown(twin, error):
            return False
        if self.choices[command.server].engine is Engine.NATIVE:
            where = self.addresses[command.server]
            log.warning("%s has lost the native engine: Lua from now on", where)
            self.choices[command.server] = Choice(Engine.LUA, "it has lost the module")
        return True

    @contextmanager
    def _noting(self, server: int, unread: list[int], outcome: Round) -> Iterator[None]:
        """Translate errors of one server; those that may pass are left for the next round."""
        try:
            yield
        except NOT_LET_IN as error:
            credentials = self._credentials[server]
            if credentials is None or not credentials.accepted:
                raise not_let_in(self.addresses[server], error) from error
            outcome.add(server, unread, error)  # a password that is being changed
        except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
            outcome.add(server, unread, error)
        except redis.InvalidResponse as error:
            raise ServerRefused(f"{self.addresses[server]} answers strangely: {error}") from error
        except redis.ResponseError as error:
            if may_pass(error):  # while connecting, or loading a script
                outcome.add(server, unread, error)
                return
            raise refused(self.addresses[server], error) from error


def _reader(
    connection: Connection, buffers: Sequence[ReplyBuffer | None]
) -> Callable[[ReplyBuffer | None], Reply]:
    """Our reader where a reply has a buffer to go into, else that of redis-py: it is faster."""
    if any(buffers):
        return ReplyReader(connection).read
    return lambda _: connection.read_response()
