"""Connections to one server: none of its own retries, and none that still owes replies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from distbelief.app.client.urls import address
from distbelief.app.errors import ConfigError

Connection = redis.connection.Connection

CONNECT_TIMEOUT_S = 5.0


def make_pool(url: str, timeout_s: float) -> redis.ConnectionPool:
    options: dict[str, Any] = {
        "protocol": 2,  # with RESP3, redis-py 8 no longer looks for stray replies
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": timeout_s,
    }
    if not url.startswith("unix:"):
        options |= {"socket_connect_timeout": CONNECT_TIMEOUT_S, "socket_keepalive": True}
    try:
        made = redis.ConnectionPool.from_url(url, **options)
        made.make_connection()  # refuses options that it does not know; does not connect
    except (TypeError, ValueError) as error:
        raise ConfigError(f"'{address(url)}' has an option that does not fit: {error}") from error
    return made


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
