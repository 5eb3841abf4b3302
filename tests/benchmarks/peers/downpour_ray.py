"""An asynchronous parameter server on Ray: an actor with the parameters, two with the data.

Each worker sends a gradient and gets the fresh parameters in one call, and computes the next
gradient on them: n_push = n_fetch = 1. Gradient and Adagrad are the NumPy functions of the lone
process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import ray

from peers.adagrad import adagrad
from peers.digits import Budget, Digits, Minibatches, Numbers, Record
from peers.ray_cluster import cluster

#: Between two looks at how far the workers are.
LOOK_S = 0.02


class Server:
    """Parameters and Adagrad; ``limit`` minibatches are given out."""

    def __init__(self, digits: Digits) -> None:
        self._digits, self._spare = digits, np.empty_like(digits.first)
        self.begin(0)

    def begin(self, limit: int) -> None:
        self._values = self._digits.first.copy()
        self._squares = np.full_like(self._values, self._digits.first_squares)
        self._done, self._limit = 0, limit

    def fetch(self) -> Numbers:
        return self._values

    def exchange(self, gradient: Numbers) -> Numbers | None:
        """The fresh parameters; None when it is enough."""
        if self._done >= self._limit:
            return None
        digits = self._digits
        adagrad(self._values, self._squares, gradient, self._spare, digits.rate, digits.epsilon)
        self._done += 1
        return self._values if self._done < self._limit else None

    def done(self) -> int:
        return self._done

    def end(self) -> None:
        self._limit = 0


class Worker:
    def __init__(self, digits: Digits, index: int, n_workers: int, server: Any) -> None:
        self._batches = Minibatches(*digits.part(index, n_workers), digits.batch, index)
        self._model, self._server = digits.model, server
        self._gradient = np.empty_like(digits.first)

    def ready(self) -> None:
        """Answered when it has been made."""

    def train(self) -> None:
        parameters = ray.get(self._server.fetch.remote())
        while parameters is not None:
            self._model.loss_and_gradient(parameters, *self._batches.next(), self._gradient)
            parameters = ray.get(self._server.exchange.remote(self._gradient))


def train(digits: Digits, budget: Budget, server: Any, workers: list[Any]) -> dict[str, Any]:
    ray.get(server.begin.remote(budget.minibatches))
    record, done = Record(budget), 0
    running = [worker.train.remote() for worker in workers]
    while done < budget.minibatches:
        stop = budget.stop(done)
        while (done := ray.get(server.done.remote())) < stop:
            time.sleep(LOOK_S)
        if budget.target is None:
            break
        if record.judge(done, digits.accuracy(ray.get(server.fetch.remote()))):
            ray.get(server.end.remote())
            break
    ray.get(running)
    return record.answer(done)


@contextmanager
def contestant(options: dict[str, Any]) -> Iterator[Callable[[dict[str, Any]], dict[str, Any]]]:
    digits, n = Digits.load(options), options["workers"]
    with cluster():
        server = ray.remote(Server).remote(digits)
        workers = [ray.remote(Worker).remote(digits, index, n, server) for index in range(n)]
        ray.get([worker.ready.remote() for worker in workers])
        yield lambda request: train(digits, Budget.of(request), server, workers)
