"""Our parameter store on embedded servers, with the engine of the options."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from distbelief.app.client.servers import Servers
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.optimizers.rules.adagrad import Adagrad
from distbelief.app.settings.config import RunConfig
from distbelief.app.store.contract.parameters import Token
from distbelief.app.store.engines import choose_engines
from distbelief.app.store.redis.parameters import RedisParameterStore
from distbelief.coordinator.cluster.local import LocalCluster
from peers.adagrad import Numbers
from peers.store import EPSILON, FIRST_SQUARES, RATE, first_values, measured

WAIT_S = 20.0
TOKEN = Token(fence=1, stream=0, attempt=1)


class OurStore:
    def __init__(self, store: RedisParameterStore) -> None:
        self._store, self._sequence = store, count(1)

    def push(self, gradient: Numbers) -> object:
        return self._store.push(TOKEN, next(self._sequence), gradient)

    def fetch(self) -> Numbers:
        return np.asarray(self._store.fetch().vector)

    def exchange(self, gradient: Numbers) -> Numbers:
        pushed = self._store.push(TOKEN, next(self._sequence), gradient, fetch=True)
        return np.asarray(pushed.fresh)


@contextmanager
def contestant(options: dict[str, Any]) -> Iterator[Callable[[dict[str, Any]], dict[str, Any]]]:
    size, n_servers, config = options["size"], options["servers"], RunConfig()
    layout = Layout.plan(
        [TensorSpec("w", (size,))], n_servers=n_servers, block_numbers=config.block_numbers
    )
    rule = Adagrad(RATE, epsilon=EPSILON, initial_accumulator=FIRST_SQUARES)
    with (
        LocalCluster(
            servers=n_servers, processes=0, folder=Path(options["folder"]), wait_s=WAIT_S
        ) as cluster,
        closing(Servers(cluster.endpoints.parameter_servers)) as servers,
    ):
        choose_engines(servers, options["engine"], WAIT_S)
        store = RedisParameterStore(servers, "transfer", layout, rule, fence=TOKEN.fence)
        store.create(first_values(size))
        yield measured(OurStore(store), size)
