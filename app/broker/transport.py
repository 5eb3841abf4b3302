"""How messages come from the control server to our workers: what is not ours ends before Celery.

A message that cannot be decoded would end a worker, in Celery or in kombu, and some would be put
back into their queue for the next one. So they are taken out here, counted, and told once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from queue import Empty
from typing import Any

import redis
from kombu.connection import Connection, ConnectionPool, PooledConnection
from kombu.transport import redis as kombu_redis

from distbelief.app.broker import foreign_keys
from distbelief.app.broker.foreign_keys import is_wrong_type
from distbelief.app.broker.messages import (
    LAST,
    TYPES,
    OddKind,
    OddMessage,
    check_answer,
    read_task,
)
from distbelief.app.broker.owners import (
    OwnersConnection,
    OwnersSSLConnection,
    owners_pool,
)
from distbelief.app.layout.keys import CLUSTERED_CELERY_PREFIX, ODD_MESSAGES

log = logging.getLogger(__name__)

#: Seconds that the counts stay after the last odd message.
COUNTED_S = 7 * 86_400

#: Seconds that a queue whose key is somebody else's is left alone, so that others are served.
ASIDE_S = 3.0

#: What makes a name of channels a pattern.
PATTERN = frozenset("*?[\\")

#: Kinds that this process has told of.
_told: set[OddKind] = set()


class Client(kombu_redis.PrefixedStrictRedis):
    """Kombu's client, which lets through what can be read."""

    def pubsub(self, **words: Any) -> Any:
        return Listener(self.connection_pool, global_keyprefix=self.global_keyprefix, **words)

    def parse_response(self, connection: Any, command_name: str, **options: Any) -> Any:
        found = super().parse_response(connection, command_name, **options)
        if command_name != "BRPOP" or not found:
            return found
        queue, message = found
        name = queue.decode(errors="replace")
        if name in TYPES:
            return queue, read_task(message).packed(name)
        check_answer(message)
        return found


class Listener(kombu_redis.PrefixedRedisPubSub):
    """Kombu's subscriber to control messages and events, which lets through what can be read."""

    def psubscribe(self, *names: Any, **handlers: Any) -> Any:
        """Subscribe to patterns; names that are none as such.

        For a pattern, a server's access list must have that very pattern, for a name one that fits.
        """
        found = [name for each in names for name in (each if isinstance(each, list) else [each])]
        plain = [name for name in found if not set(name) & PATTERN]
        if plain:
            self.subscribe(*plain)
        patterns = [name for name in found if name not in plain]
        return super().psubscribe(*patterns, **handlers) if patterns or handlers else None

    def parse_response(self, *arguments: Any, **words: Any) -> Any:
        found = super().parse_response(*arguments, **words)
        if isinstance(found, list | tuple) and found[0] in (b"message", b"pmessage"):
            check_answer(found[-1])
        return found


class Channel(kombu_redis.Channel):
    """Kombu's channel, which survives odd messages and serves the queues that are some."""

    def __init__(self, *arguments: Any, **words: Any) -> None:
        #: Queues that are no lists, until then.
        self._aside = set[str]()
        self._aside_until = 0.0
        super().__init__(*arguments, **words)

    @property
    def active_queues(self) -> list[str]:
        """The queues to ask for messages; kombu looks at them whenever it begins to wait."""
        if self._aside and time.monotonic() >= self._aside_until:
            self._aside = set()
            self._update_queue_cycle()
        return [queue for queue in super().active_queues if queue not in self._aside]

    def _get_client(self) -> Any:
        super()._get_client()  # looks at versions
        return partial(Client, global_keyprefix=self.global_keyprefix)

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)
        except OddMessage as odd:  # it has left its queue
            self._note(odd.kind)
            raise Empty from None
        except redis.ResponseError as error:
            if not is_wrong_type(error):
                raise
            self._aside = set(foreign_keys.look(self.pool, self.global_keyprefix))
            if not self._aside:  # else it would be asked again and again
                raise
            self._aside_until = time.monotonic() + ASIDE_S
            self._update_queue_cycle()
            raise Empty from None

    def _size(self, queue: str) -> int:
        return int(self._unless_foreign(super()._size, 0, queue))

    def _queue_bind(self, *arguments: Any) -> None:
        self._unless_foreign(super()._queue_bind, None, *arguments)

    def _delete(self, *arguments: Any, **words: Any) -> None:
        self._unless_foreign(partial(super()._delete, **words), None, *arguments)

    def get_table(self, exchange: str) -> Any:
        return self._unless_foreign(super().get_table, [], exchange)

    def _unless_foreign(self, do: Callable[..., Any], otherwise: Any, *arguments: Any) -> Any:
        """What ``do`` gives, unless its key is a stranger's: the worker serves its other queues."""
        try:
            return do(*arguments)
        except redis.ResponseError as error:
            if not is_wrong_type(error):
                raise
            foreign_keys.look(self.pool, self.global_keyprefix)
            return otherwise

    def _put(self, queue: str, message: Any, **words: Any) -> Any:
        try:
            return super()._put(queue, message, **words)
        except redis.ResponseError as error:
            if is_wrong_type(error):
                foreign_keys.check(self.pool, self.global_keyprefix)
            raise

    def _receive_one(self, client: Any) -> Any:
        """Take a control message or an event, which nobody waits to be acknowledged."""
        try:
            return super()._receive_one(client)
        except (Empty, redis.RedisError, OSError):
            raise
        except Exception:  # noqa: BLE001  (OddMessage, and whatever else a stranger's may raise)
            self._note(OddKind.CONTROL)
            raise Empty from None

    def _note(self, kind: OddKind) -> None:
        if kind not in _told:
            _told.add(kind)
            log.error(
                "a message was removed that is not ours: %s. Others of its kind are only counted: "
                "see doctor. Who else writes to this server?",
                kind.sentence,
            )
        key = self.global_keyprefix + ODD_MESSAGES
        try:
            with redis.Redis(connection_pool=self.pool).pipeline(transaction=False) as counting:
                counting.hincrby(key, kind, 1)
                counting.hset(key, LAST, int(time.time()))
                counting.expire(key, COUNTED_S)
                counting.execute()
        except redis.RedisError as error:
            log.warning("an odd message was not counted: %s", error)


class SentinelChannel(Channel, kombu_redis.SentinelChannel):
    """The same where sentinels say who the server is."""


class ClusterChannel(Channel):
    """The same on whichever node of a cluster has Celery's keys, all of them under one hash tag."""

    connection_class: Any = OwnersConnection
    connection_class_ssl: Any = OwnersSSLConnection

    def _get_pool(self, asynchronous: bool = False) -> redis.ConnectionPool:
        options = self._connparams(asynchronous=asynchronous)
        self.keyprefix_fanout = self.keyprefix_fanout.format(db=options["db"])
        return owners_pool(self.global_keyprefix, self.connection.client.alt, options)


class Transport(kombu_redis.Transport):
    Channel = Channel


class SentinelTransport(Transport):
    Channel = SentinelChannel


class ClusterTransport(Transport):
    Channel = ClusterChannel


def _transport(connection: Connection) -> type[Transport]:
    """The transport for the URL and the options of a connection."""
    if connection.transport_cls == "sentinel":
        return SentinelTransport
    is_cluster = CLUSTERED_CELERY_PREFIX in (connection.transport_options or {})["global_keyprefix"]
    return ClusterTransport if is_cluster else Transport


class OurConnection(Connection):
    """A connection with this transport, however its server is reached."""

    def get_transport_cls(self) -> type[Transport]:
        return _transport(self)

    def info(self) -> dict[str, Any]:
        """What a worker tells of its broker (``inspect stats``): nothing that is a secret's."""
        found = dict(super().info())
        found.pop("credential_provider", None)  # which no message can carry, either
        return found

    def Pool(self, limit: int | None = None, **words: Any) -> ConnectionPool:  # noqa: N802
        return OurPool(self, limit, **words)


class OurPooledConnection(PooledConnection):
    """The same of a pool."""

    def get_transport_cls(self) -> type[Transport]:
        return _transport(self)


class OurPool(ConnectionPool):
    """Kombu's pool, which would make connections of its own class."""

    def new(self) -> OurPooledConnection:
        return OurPooledConnection(self, **dict(self.connection._info(resolve=False)))
