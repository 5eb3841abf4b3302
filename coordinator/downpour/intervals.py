"""The number of steps between exchanges with the servers, where it is left to us (``auto``).

Chosen once, before the training, from what a step and an exchange cost here: the number of
a push is its step divided by ``n_push``, so it never changes within a run. Where workers come and
go pushes are numbered by steps, and stand for as many as their unit was told
(:mod:`distbelief.coordinator.downpour.pace`). A step is measured in this process. Where workers
are on slower machines, the interval is a little longer than it must be.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import threadpoolctl

from distbelief.app.client.servers import Servers
from distbelief.app.datasets.split.partition import Subset
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.optimizers.registry import shard_rule
from distbelief.app.settings.config import RunConfig
from distbelief.app.store.contract.parameters import Token
from distbelief.app.store.redis.parameters import RedisParameterStore
from distbelief.app.store.redis.trial import trial_name, tried
from distbelief.coordinator.problem.problem import Problem
from distbelief.worker_tasks.copies import Examples

#: Share of its time that a server may be at work on pushes.
MOST_BUSY = 0.5

#: Longest intervals whose loss comes within a few percent of that at 1, at as many
#: minibatches (``tests/benchmarks/intervals.py``). Rules that divide by a running root make
#: a step of one length from a sum of gradients, too: longer intervals only cost them.
LONGEST: Mapping[str, int] = {"adagrad": 4, "sgd": 4, "ftrl": 2}
#: Gradients that the others compute while a replica works on one copy, at most.
MOST_UNSEEN = 6

#: Measured so many times, after one that does not count; the middle one is taken.
REPETITIONS = 5
#: Or less often, once it has taken so long: a step may take seconds.
LONGEST_S = 1.0
FENCE = 1

#: The limit is the whole process's: trainings in two threads would take each other's for what
#: there was before, and put that back.
_measuring = threading.Lock()


@dataclass(frozen=True)
class MeasuredCosts:
    """Seconds of one minibatch, and of a push that brings the fresh parameters back.

    The exchange is that of the server with most to do, with nobody else at work there.
    """

    step_s: float
    exchange_s: float


def best_interval(costs: MeasuredCosts, longest: int, replicas: int) -> int:
    """The least of 1, 2, 4, ... up to ``longest`` that leaves the servers half of their time.

    Each of the ``replicas`` brings an exchange every so many steps.
    """
    chosen = 1
    while 2 * chosen <= longest and (
        replicas * costs.exchange_s > MOST_BUSY * chosen * costs.step_s
    ):
        chosen *= 2
    return chosen


def longest_interval(config: RunConfig, *, tables: bool) -> int:
    """The longest interval that does the training no harm worth the name.

    It is 1 where that is not known: for tables, and for models of the user's own.
    ``max_staleness`` counts pushes, and means steps. With rounds there is nothing to choose.
    """
    ours = config.model != "torch" and ":" not in config.model
    if tables or not ours or config.max_staleness is not None or config.round_steps is not None:
        return 1
    if config.comes_and_goes and config.scale_by_staleness:
        return 1  # which counts what pushes stand for
    return longest_with(config.optimizer, 1 if config.comes_and_goes else config.n_replicas)


def longest_with(optimizer: str, replicas: int) -> int:
    """The longest interval of a rule's that does no harm with so many replicas."""
    others = max(1, replicas - 1)
    return max(1, min(LONGEST.get(optimizer, 1), MOST_UNSEEN // others))


def measure_costs(problem: Problem, servers: Servers) -> MeasuredCosts:
    """Measure a step here, and an exchange; raises the ServerError family."""
    on_server = np.bincount(
        [problem.layout.server(shard) for shard in range(problem.layout.n_shards)],
        minlength=len(servers),
    )
    part = problem.layout.shard_slice(0)
    numbers = part.stop - part.start
    exchanges = (
        float(n_shards * measure_push_s(problem.config, servers.only(index), numbers))
        for index, n_shards in enumerate(on_server)
    )
    return MeasuredCosts(_measure_step_s(problem), max(exchanges))


def _measure_step_s(problem: Problem) -> float:
    """Time one minibatch on a copy of the parameters, on one thread, as workers compute."""
    config = problem.config
    subset = Subset(problem.data.train, 0, config.n_streams, config.seed)
    examples = Examples(problem.dataset, subset)
    parameters = problem.initial_values.parameters.astype(config.dtype)
    gradient = np.empty_like(parameters)

    def step(number: int) -> None:
        features, targets = examples.minibatch(number, config.batch_size)
        problem.model.loss_and_gradient(parameters, features, targets, gradient)

    with _measuring, threadpoolctl.threadpool_limits(1):
        return _median_s(step)


def measure_push_s(config: RunConfig, servers: Servers, numbers: int) -> float:
    """Time a push to one shard of so many numbers, under a name that is gone afterwards."""
    rule, dtype = shard_rule(config), config.dtype
    layout = Layout.plan(
        [TensorSpec("trial", (numbers,))],
        n_servers=1,
        block_numbers=config.block_numbers,
        n_shards=1,
    )
    shards = RedisParameterStore(servers, trial_name(), layout, rule, dtype, fence=FENCE)
    with tried(shards) as store:
        gradient = np.full(numbers, 1e-3, dtype)
        return _median_s(
            lambda number: store.push(
                Token(FENCE, 0, 1), 1 + number, gradient, fetch=True, wire=config.wire
            )
        )


def _median_s(do: Callable[[int], object]) -> float:
    """Median seconds of ``do``, which gets a running number; the first time does not count."""
    return statistics.median(list(_timed(do))[1:])


def _timed(do: Callable[[int], object]) -> Iterator[float]:
    spent_s = 0.0
    for number in range(1 + REPETITIONS):
        began = time.perf_counter()
        do(number)
        took_s = time.perf_counter() - began
        yield took_s
        spent_s += took_s
        if number and spent_s > LONGEST_S:
            break
