"""Kombu's connections to a cluster: always to the node that has Celery's keys at the time.

Redis-py's connections to whom sentinels name are just that: here the cluster is in their place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import redis
from redis.cluster import ClusterNode, NodesManager
from redis.crc import key_slot
from redis.exceptions import RedisClusterException
from redis.sentinel import (
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)

#: Answers of a node that has the keys no more, or not all of them.
ELSEWHERE = (
    redis.exceptions.AskError,
    redis.exceptions.ClusterDownError,
    redis.exceptions.TryAgainError,
)

#: Options of kombu's that are for its own connections.
NOT_FOR_ASKING = ("connection_class", "db", "max_connections")


class Owner:
    """Says which node of a cluster has a key; stands for redis-py's sentinels."""

    def __init__(self, places: Sequence[tuple[str, int]], options: dict[str, Any]) -> None:
        self._places = places
        self._options = options

    def discover_master(self, key: str) -> tuple[str, int]:
        """Host and port of the node; asked for anew whenever a connection is made.

        Raises:
            ConnectionError: nobody knows.
        """
        nodes = [ClusterNode(host, port) for host, port in self._places]
        found = None
        try:
            found = NodesManager(nodes, from_url=True, **self._options)
            node = found.get_node_from_slot(key_slot(key.encode()))
            return str(node.host), int(node.port)
        except RedisClusterException as error:
            cause = error.__cause__
            told = cause if isinstance(cause, redis.AuthenticationError) else None
            raise told or redis.ConnectionError(str(error)) from error
        finally:
            if found is not None:
                found.close()


class OwnersConnection(SentinelManagedConnection):
    """A connection that is made anew when its node has the keys no more."""

    def read_response(self, *arguments: Any, **words: Any) -> Any:
        try:
            return super().read_response(*arguments, **words)
        except ELSEWHERE as error:
            self.disconnect()
            raise redis.ConnectionError(f"the keys are on another node: {error}") from error


class OwnersSSLConnection(OwnersConnection, SentinelManagedSSLConnection):
    """The same over TLS."""


def owners_pool(key: str, urls: Sequence[str], options: dict[str, Any]) -> SentinelConnectionPool:
    """Connections to the node that has ``key``, in the cluster that the ``urls`` name.

    ``options`` are kombu's of a connection.
    """
    parts = [urlsplit(url) for url in urls] or None
    own = options.pop("host"), options.pop("port")
    places = [own] if parts is None else [(str(each.hostname), each.port or 6379) for each in parts]
    plain = {name: value for name, value in options.items() if name not in NOT_FOR_ASKING}
    is_tls = issubclass(options["connection_class"], redis.SSLConnection)
    plain["connection_class"] = redis.SSLConnection if is_tls else redis.Connection
    return SentinelConnectionPool(key, Owner(places, plain), **options)
