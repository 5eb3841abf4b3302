"""Connections to one server: none of its own retries, and none that still owes replies."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import (
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)

from distbelief.app.client.addresses import Kind, ServerAddress
from distbelief.app.client.credentials import Credentials

Connection = redis.connection.Connection

CONNECT_TIMEOUT_S = 5.0


def make_pool(
    server: ServerAddress, timeout_s: float, credentials: Credentials | None = None
) -> redis.ConnectionPool:
    """Connections to a server, or to whom its sentinels call its master at the time."""
    kind, options = connection_options(server, timeout_s, credentials)
    if server.kind is not Kind.SENTINEL:
        return redis.ConnectionPool(connection_class=kind, **options)
    del options["host"], options["port"]
    kind = SentinelManagedSSLConnection if server.is_tls else SentinelManagedConnection
    asking = {**server.sentinel_options, "protocol": 2, "retry": Retry(NoBackoff(), 0)}
    sentinels = Sentinel(server.nodes, sentinel_kwargs=asking)
    return SentinelConnectionPool(server.master, sentinels, connection_class=kind, **options)


def connection_options(
    server: ServerAddress, timeout_s: float, credentials: Credentials | None
) -> tuple[type[redis.connection.AbstractConnection], dict[str, Any]]:
    """The class and the arguments of connections that retry nothing by themselves.

    ``credentials`` go before what the URL says of them.
    """
    kind, known = server.connection()
    if credentials is not None:
        known |= {"username": None, "password": None, "credential_provider": credentials}
    options: dict[str, Any] = {
        **known,
        "protocol": 2,  # with RESP3, redis-py 8 no longer looks for stray replies
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": timeout_s,
    }
    if kind is not redis.UnixDomainSocketConnection:
        options |= {"socket_connect_timeout": CONNECT_TIMEOUT_S, "socket_keepalive": True}
    return kind, options


def refuses(url: str, timeout_s: float = CONNECT_TIMEOUT_S) -> bool:
    """Whether the system says at once that nobody listens at ``url``; a silent one may be there."""
    address = ServerAddress.parse(url)
    try:
        if address.path:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(timeout_s)
                probe.connect(address.path)
        else:
            socket.create_connection((address.host, address.port), timeout_s).close()
    except (ConnectionRefusedError, FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


@contextmanager
def borrow(pool: redis.ConnectionPool, unread: list[int]) -> Iterator[Connection]:
    """Lend a connection of ``pool``; one that still owes replies never goes back open."""
    connection: Connection = pool.get_connection()
    try:
        yield connection
    finally:
        if unread:
            connection.disconnect()
        pool.release(connection)
