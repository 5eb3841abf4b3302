"""A Ray actor that holds NumPy arrays, asked from the driver, as Ray's parameter servers do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ray

from peers.adagrad import Numbers
from peers.ray_cluster import cluster
from peers.store import NumpyStore, first_values, measured


class RayStore:
    def __init__(self, size: int) -> None:
        self._actor = ray.remote(NumpyStore).remote(first_values(size))

    def push(self, gradient: Numbers) -> None:
        ray.get(self._actor.push.remote(gradient))

    def fetch(self) -> Numbers:
        values: Numbers = ray.get(self._actor.fetch.remote())
        return values

    def exchange(self, gradient: Numbers) -> Numbers:
        values: Numbers = ray.get(self._actor.exchange.remote(gradient))
        return values


@contextmanager
def contestant(options: dict[str, Any]) -> Iterator[Callable[[dict[str, Any]], dict[str, Any]]]:
    with cluster():
        yield measured(RayStore(options["size"]), options["size"])
