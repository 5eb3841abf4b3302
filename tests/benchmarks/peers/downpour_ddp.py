"""PyTorch DistributedDataParallel over gloo: processes in step, gradients averaged in a ring.

A step takes a minibatch in each process, so it counts as that many minibatches. torch's Adagrad
runs in each process on the averaged gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import distributed
from torch.multiprocessing import get_context
from torch.nn.parallel import DistributedDataParallel

from peers.digits import Budget, Digits, Minibatches, Record, meeting
from peers.torch_digits import accuracy, adagrad, network, step


def work(digits: Digits, rank: int, n_workers: int, meet: str, requests: Any, ends: Any) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{meet}", rank=rank, world_size=n_workers
    )
    batches = Minibatches(*digits.part(rank, n_workers), digits.batch, rank)
    while (budget := requests.get()) is not None:
        trace = train(digits, budget, batches, rank, n_workers)
        if rank == 0:
            ends.put(trace)
    distributed.destroy_process_group()


def train(
    digits: Digits, budget: Budget, batches: Minibatches, rank: int, n_workers: int
) -> tuple[int, list[tuple[int, float, float]]]:
    """Minibatches of all processes together, and the trace of the first one."""
    model = DistributedDataParallel(network(digits))
    optimizer, record, done = adagrad(digits, model), Record(budget), 0
    enough = torch.zeros(1)
    while done < budget.minibatches and not enough:
        stop = budget.stop(done)
        while done < stop:
            step(model, optimizer, *batches.next())
            done += n_workers
        if budget.target is not None:
            if rank == 0:  # the others wait for its word
                enough[0] = record.judge(done, accuracy(digits, model.module))
            distributed.broadcast(enough, 0)
    return done, record.trace


@contextmanager
def contestant(options: dict[str, Any]) -> Iterator[Callable[[dict[str, Any]], dict[str, Any]]]:
    digits, n, context = Digits.load(options), options["workers"], get_context("spawn")
    requests, ends = [context.Queue() for _ in range(n)], context.Queue()
    meet = str(meeting(options["folder"], "meeting"))
    workers = [
        context.Process(
            target=work, args=(digits, rank, n, meet, requests[rank], ends), daemon=True
        )
        for rank in range(n)
    ]
    for worker in workers:
        worker.start()

    def run(request: dict[str, Any]) -> dict[str, Any]:
        budget = Budget.of(request)
        record = Record(budget)
        for each in requests:
            each.put(budget)
        done, record.trace = ends.get()
        return record.answer(done)

    try:
        run({"minibatches": n, "every": 1, "target": None})  # until all have met
        yield run
    finally:
        for each in requests:
            each.put(None)
        for worker in workers:
            worker.join(10)
            worker.terminate()
