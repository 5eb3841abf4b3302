"""PyTorch Hogwild: processes that write to the same parameters in shared memory, without locks.

The accumulators of torch's Adagrad are shared, too (``share_memory``): one rule over all
gradients, as on our servers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.multiprocessing import get_context

from peers.digits import Budget, Digits, Minibatches, Record
from peers.torch_digits import accuracy, adagrad, network, step

LOOK_S, WAIT_S = 0.005, 120.0


def work(
    digits: Digits, index: int, model: nn.Module, optimizer: torch.optim.Adagrad, shared: Any
) -> None:
    """A worker: one training after another, each from barrier to barrier."""
    torch.set_num_threads(1)
    assert optimizer.param_groups[0]["params"][0] is next(model.parameters())
    n_workers, counts, limit, barrier = shared
    batches = Minibatches(*digits.part(index, n_workers), digits.batch, index)
    while True:
        barrier.wait()
        while sum(counts) < limit.value:
            step(model, optimizer, *batches.next())
            counts[index] += 1
        barrier.wait()


class Hogwild:
    def __init__(self, digits: Digits, n_workers: int) -> None:
        torch.set_num_threads(1)
        context = get_context("spawn")
        self._digits, self._model = digits, network(digits).share_memory()
        self._optimizer = adagrad(digits, self._model)
        self._optimizer.share_memory()
        # Each worker counts for itself, so that counting needs no lock either.
        self._counts = context.Array("q", n_workers, lock=False)
        self._limit = context.Value("q", 0, lock=False)
        self._barrier = context.Barrier(n_workers + 1)
        shared = (n_workers, self._counts, self._limit, self._barrier)
        self._workers = [
            context.Process(
                target=work, args=(digits, index, self._model, self._optimizer, shared), daemon=True
            )
            for index in range(n_workers)
        ]
        for worker in self._workers:
            worker.start()

    def train(self, budget: Budget) -> dict[str, Any]:
        self._begin(budget.minibatches)
        self._barrier.wait(WAIT_S)
        record, done = Record(budget), 0
        while done < budget.minibatches:
            stop = budget.stop(done)
            while (done := sum(self._counts)) < stop:
                time.sleep(LOOK_S)
            judged = budget.target is not None
            if judged and record.judge(done, accuracy(self._digits, self._model)):
                self._limit.value = 0
                break
        self._barrier.wait(WAIT_S)
        return record.answer(sum(self._counts))

    def close(self) -> None:
        for worker in self._workers:
            worker.terminate()
            worker.join()

    def _begin(self, minibatches: int) -> None:
        self._limit.value = minibatches
        self._counts[:] = [0] * len(self._counts)
        fresh = network(self._digits).parameters()
        with torch.no_grad():
            for mine, first in zip(self._model.parameters(), fresh, strict=True):
                mine.copy_(first)
            for state in self._optimizer.state.values():
                state["sum"].fill_(self._digits.first_squares)


@contextmanager
def contestant(options: dict[str, Any]) -> Iterator[Callable[[dict[str, Any]], dict[str, Any]]]:
    hogwild = Hogwild(Digits.load(options), options["workers"])
    try:
        yield lambda request: hogwild.train(Budget.of(request))
    finally:
        hogwild.close()
