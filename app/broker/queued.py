"""Messages that lie in a queue, where the broker is a Redis: nothing depends on seeing them."""

from __future__ import annotations

from typing import Any

import redis

from distbelief.app.broker import foreign_keys
from distbelief.app.broker.foreign_keys import is_wrong_type
from distbelief.app.broker.messages import TaskMessage, tasks_in

#: A queue that is longer is not read: most of it is somebody else's.
MOST = 5_000

#: How long a connection may be waited for that others of the program have.
ACQUIRE_S = 1.0


def look(app: Any, queue: str) -> list[TaskMessage] | None:
    """The messages of ours in a queue of a Celery application; None if they cannot be seen.

    Under its prefix, and of all its priorities. Raises redis.RedisError or OSError if the broker
    does not answer.
    """
    with app.pool.acquire(block=True, timeout=ACQUIRE_S) as connection:
        if connection.transport.driver_type != "redis":
            return None
        connection.ensure_connection(max_retries=1, interval_start=0)
        channel = connection.default_channel
        prefix = channel.global_keyprefix or ""
        keys = [prefix + channel._q_for_pri(queue, priority) for priority in channel.priority_steps]
        try:
            return _read(redis.Redis(connection_pool=channel.pool), keys)
        except redis.ResponseError as error:
            if is_wrong_type(error):
                foreign_keys.check(channel.pool, prefix)
            raise


def _read(server: redis.Redis, keys: list[str]) -> list[TaskMessage] | None:
    with server.pipeline(transaction=False) as asking:
        for key in keys:
            asking.llen(key)
        if sum(asking.execute()) > MOST:
            return None
        for key in keys:
            asking.lrange(key, 0, -1)
        return [each for found in asking.execute() for each in tasks_in(found)]
