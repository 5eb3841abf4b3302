"""Shards that are only tried: under a name of their own, and gone afterwards.

Whoever tries them may be killed meanwhile: the servers remove them by themselves some time later.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np

from distbelief.app.store.redis.parameters import RedisParameterStore
from distbelief.app.store.redis.vectors import RedisVectorStore

Store = TypeVar("Store", RedisParameterStore, RedisVectorStore)


def trial_name() -> str:
    """A name that nobody else has, for what is gone afterwards."""
    return f"trial-{uuid.uuid4().hex[:8]}"


@contextmanager
def tried(store: Store) -> Iterator[Store]:
    """The store, with zeros on its shards as long as this lasts."""
    try:
        store.create(np.zeros(store.layout.size))
        store.expire()
        yield store
    finally:
        store.delete()
