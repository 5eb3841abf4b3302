"""Celery's keys on the control server, and what to say of one that somebody else has taken."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence

import redis

from distbelief.app.broker.messages import TYPES

log = logging.getLogger(__name__)

BINDINGS = "_kombu.binding."

#: The tables of exchanges that workers and coordinators use; kombu keeps each in a set.
TABLES = tuple(BINDINGS + name for name in ("celery.pidbox", "reply.celery.pidbox", *TYPES))

#: Names of Celery's keys after their prefix, and the type that each has if it is there.
KEYS: Mapping[str, str] = dict.fromkeys(TYPES, "list") | dict.fromkeys(TABLES, "set")

#: How long a process says nothing more of a key that it has told of.
QUIET_S = 60.0

_told: dict[str, float] = {}


class ForeignKey(redis.ResponseError):
    """A key of Celery's holds what Celery does not put there; the text says what to do."""


def foreign_keys(kinds: Sequence[bytes], prefix: str) -> dict[str, str]:
    """The sentence for each of ``KEYS`` that is of another type; ``kinds`` are what TYPE says."""
    found = zip(KEYS.items(), (kind.decode() for kind in kinds), strict=True)
    return {
        name: _sentence(prefix + name, kind, wanted)
        for (name, wanted), kind in found
        if kind not in (wanted, "none")
    }


def look(pool: redis.ConnectionPool, prefix: str) -> dict[str, str]:
    """Ask the server of ``pool`` for foreign keys, and write to the log what was not told yet."""
    found = _ask(pool, prefix)
    now = time.monotonic()
    for name, sentence in found.items():
        if now - _told.get(name, -QUIET_S) >= QUIET_S:
            _told[name] = now
            log.error("%s", sentence)
    return found


def check(pool: redis.ConnectionPool, prefix: str) -> None:
    """Raise ForeignKey if there are foreign keys on the server of ``pool``."""
    if found := _ask(pool, prefix):
        raise ForeignKey("; ".join(found.values()))


def _ask(pool: redis.ConnectionPool, prefix: str) -> dict[str, str]:
    """What is foreign there; nothing is known where our user may not ask for types."""
    with redis.Redis(connection_pool=pool).pipeline(transaction=False) as asking:
        for name in KEYS:
            asking.type(prefix + name)
        kinds = asking.execute(raise_on_error=False)
    return foreign_keys([kind if isinstance(kind, bytes) else b"none" for kind in kinds], prefix)


def is_wrong_type(error: redis.ResponseError) -> bool:
    return "WRONGTYPE" in str(error)


def _sentence(key: str, kind: str, wanted: str) -> str:
    return (
        f"the key {key} is a {kind}, and a {wanted} of Celery's belongs there: who else writes to "
        f"this server? Until it is removed (redis-cli DEL {key}) nothing comes through it"
    )
