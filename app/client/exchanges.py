"""One attempt at many commands to many servers: all are sent, then all answers are read.

A server that fails is left for the next attempt, alone; answers that came stay.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import redis

from distbelief.app.client.addresses import Kind
from distbelief.app.client.commands import Command, Reply
from distbelief.app.client.engine import Choice, Engine
from distbelief.app.client.failures import (
    DEMOTED,
    NOT_LET_IN,
    is_unknown,
    may_pass,
    not_let_in,
    refused,
)
from distbelief.app.client.pools import Connection, borrow
from distbelief.app.client.replies import reader, sent_words
from distbelief.app.client.rounds import Lane, Round
from distbelief.app.client.routes import Route
from distbelief.app.client.scripts import Script
from distbelief.app.client.shared import Handover, SharedMemory
from distbelief.app.client.traffic import Moved, Traffic, reply_bytes, sent_bytes
from distbelief.app.client.wire import packed, stretches
from distbelief.app.errors import ServerRefused

log = logging.getLogger(__name__)

#: What may pass until the next attempt; of answers, those of failures.py that do.
PASSING = (redis.ConnectionError, redis.TimeoutError, redis.ResponseError, OSError)


class Exchanges:
    """Sends commands over routes, each to the node that has its keys.

    ``choices`` are the engines of the servers, of which one may be lost on the way. ``traffic``
    counts the bytes of this client, and of others over the same connections.
    """

    def __init__(self, routes: Sequence[Route], choices: Sequence[Choice]) -> None:
        self.addresses = [route.address for route in routes]
        self.choices = list(choices)
        self.traffic = Traffic()
        self._routes = list(routes)
        self._awaited: dict[int, tuple[str, float]] = {}
        self._shared = SharedMemory()

    def lane(self, command: Command) -> Lane:
        """Where a command goes, as far as is known; those of one lane wait for one another."""
        try:
            return Lane(command.server, self._routes[command.server].node(command))
        except (redis.RedisError, OSError):  # told when it is sent
            return Lane(command.server)

    def key(self, name: str, server: int = 0) -> str:
        """The name of a key as one of the servers has it."""
        return f"{self.prefix(server)}{name}"

    def is_cluster(self, server: int = 0) -> bool:
        """Whether one of the servers has several nodes."""
        return self._routes[server].server.kind is Kind.CLUSTER

    def has_replicas(self, server: int = 0) -> bool:
        """Whether somebody may take the place of one of the servers."""
        return self._routes[server].server.kind is not Kind.ALONE

    def master(self, server: int = 0) -> str:
        """Where the sentinels of a server that answers say it is; empty where it has none."""
        return self._routes[server].master

    def prefix(self, server: int = 0) -> str:
        """How keys begin on one of the servers."""
        return self._routes[server].prefix

    def celery_key(self, name: str) -> str:
        """A key of Celery's on the first server."""
        return f"{self._routes[0].server.celery_prefix}{name}"

    def shared_folder(self, server: int = 0) -> Path | None:
        """Where one of the servers takes arrays from this process by shared memory; None if not."""
        shares = None if self.is_cluster(server) else self._shares(Lane(server))
        if shares is not None:
            with suppress(redis.RedisError), borrow(self._routes[server].pool(""), []) as one:
                return self._shared.folder(shares, one)
        return None

    def silent(self) -> list[tuple[str, float]]:
        """Servers that calls are waiting for at this moment, and for how many seconds."""
        now = time.monotonic()
        return [(f"{where} is silent", now - since) for where, since in [*self._awaited.values()]]

    def _where(self, lane: Lane) -> str:
        return f"{self.addresses[lane.server]}{f' (node {lane.node})' if lane.node else ''}"

    @contextmanager
    def _awaiting(self, server: int) -> Iterator[None]:
        """Note that this thread waits for a server: a frozen one says nothing for long."""
        thread = threading.get_ident()
        self._awaited[thread] = self.addresses[server], time.monotonic()
        try:
            yield
        finally:
            del self._awaited[thread]

    def _round(
        self,
        commands: Sequence[Command],
        wanted: list[int],
        replies: list[Reply],
        outcome: Round,
    ) -> Round:
        """Try every wanted command once; note in ``outcome`` what has to be asked again."""
        lanes = self._lanes(commands, wanted, outcome)
        with ExitStack() as stack:
            sent: list[tuple[Lane, Connection, Handover]] = []
            for lane, unread in lanes.items():
                with self._noting(lane, unread, outcome), self._awaiting(lane.server):
                    route = self._routes[lane.server]
                    connection = stack.enter_context(borrow(route.pool(lane.node), unread))
                    if route.credentials is not None:
                        route.credentials.accepted = True
                    shares = self._shares(lane)
                    over = stack.enter_context(
                        self._shared.lend(shares, connection, commands, unread)
                    )
                    self._send(lane, connection, commands, unread, over)
                    sent.append((lane, connection, over))
            for lane, connection, over in sent:
                with self._noting(lane, lanes[lane], outcome), self._awaiting(lane.server):
                    self._read(lane, connection, commands, lanes[lane], replies, outcome, over)
        return outcome

    def _shares(self, lane: Lane) -> str | None:
        """The name of who may share memory with us on a lane."""
        native = self.choices[lane.server].engine is Engine.NATIVE
        return self._where(lane) if native and not lane.asking else None

    def _send(
        self,
        lane: Lane,
        connection: Connection,
        commands: Sequence[Command],
        unread: Sequence[int],
        over: Handover,
    ) -> None:
        engine, prefix = self.choices[lane.server].engine, self._routes[lane.server].prefix
        words = [commands[index].words(engine, prefix) for index in unread]
        if over.places:
            connection.send_packed_command(stretches(over.pieces(unread, words)))
            self.traffic.note(Moved(sent=over.sent))
        else:
            pieces = packed(sent_words(words, lane))
            connection.send_packed_command(stretches(pieces))
            self.traffic.note(Moved(sent=sent_bytes(pieces)))

    def _lanes(
        self, commands: Sequence[Command], wanted: list[int], outcome: Round
    ) -> dict[Lane, list[int]]:
        """The wanted commands by where they go."""
        by_server: dict[int, list[int]] = defaultdict(list)
        for index in wanted:
            by_server[commands[index].server].append(index)
        asked = outcome.before.asked if outcome.before is not None else {}
        lanes: dict[Lane, list[int]] = defaultdict(list)
        for server, unplaced in by_server.items():
            with self._noting(Lane(server), unplaced, outcome), self._awaiting(server):
                placed = [
                    Lane(server, asked[index], asking=True)
                    if index in asked
                    else Lane(server, self._routes[server].node(commands[index]))
                    for index in unplaced
                ]
                for index, lane in zip(unplaced, placed, strict=True):
                    lanes[lane].append(index)
        return lanes

    def _read(
        self,
        lane: Lane,
        connection: Connection,
        commands: Sequence[Command],
        unread: list[int],
        replies: list[Reply],
        outcome: Round,
        over: Handover,
    ) -> None:
        """Read the replies of one lane; ``unread`` shrinks as they come."""
        unknown: dict[str, Script] = {}
        refusal: ServerRefused | None = None
        received = 0
        read = reader(connection, [commands[index].into for index in unread], lane)
        while unread:
            index = unread[0]
            try:
                replies[index] = over.taken(index, read(commands[index].into))
                received += reply_bytes(replies[index], commands[index].into)
            except redis.exceptions.NoScriptError as error:
                script = commands[index].script
                assert script is not None  # only EVALSHA is answered so
                unknown[script.sha] = script
                outcome.add_unknown(lane, index, script, error)
            except redis.ResponseError as error:
                if not self._goes_on(lane, commands[index], index, error, outcome):
                    refusal = refusal or self._refused(lane, commands[index], error)
                    refusal.__cause__ = refusal.__cause__ or error
            del unread[0]
        self.traffic.note(Moved(received=received))
        if refusal is not None:
            raise refusal
        if isinstance(outcome.failures.get(lane), DEMOTED):
            connection.disconnect()  # the next one finds who is in its place
            return
        # A restart, a failover or SCRIPT FLUSH: load what is missing and ask again, at once
        # where that may be enough.
        for script in unknown.values():
            connection.send_command("SCRIPT", "LOAD", script.source)
            connection.read_response()

    def _refused(self, lane: Lane, command: Command, error: redis.ResponseError) -> ServerRefused:
        names = [self.key(str(key), lane.server) for key in command.keys]
        return refused(self._where(lane), error, names)

    def _goes_on(
        self,
        lane: Lane,
        command: Command,
        index: int,
        error: redis.ResponseError,
        outcome: Round,
    ) -> bool:
        """Note how to ask a command again that was answered so; whether there is a way."""
        route = self._routes[lane.server]
        if may_pass(error):
            outcome.add(lane, [index], error)
            route.failed(lane.node)
        elif self._shared.refused(self._where(lane), error) or self._lost_module(command, error):
            outcome.missing.append(index)
        elif isinstance(error, redis.exceptions.AskError):
            to = route.sent_on(error, lane.node)
            if to is None:
                return False
            outcome.send_on(lane, index, error, to)
        else:
            return False
        return True

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
    def _noting(self, lane: Lane, unread: list[int], outcome: Round) -> Iterator[None]:
        """Translate errors of one lane; those that may pass are left for the next round."""
        try:
            with self._telling(lane.server):
                yield
        except PASSING as error:
            outcome.add(lane, unread, error)
            self._routes[lane.server].failed(lane.node)

    @contextmanager
    def _telling(self, server: int) -> Iterator[None]:
        """Translate errors of one server, all but those that may pass."""
        where, credentials = self.addresses[server], self._routes[server].credentials
        try:
            yield
        except NOT_LET_IN as error:
            if credentials is None or not credentials.accepted:
                raise not_let_in(where, error) from error
            raise  # a password that is being changed
        except redis.InvalidResponse as error:
            raise ServerRefused(f"{where} answers strangely: {error}") from error
        except redis.ResponseError as error:
            if not may_pass(error):  # while connecting, or loading a script
                raise refused(where, error) from error
            raise
