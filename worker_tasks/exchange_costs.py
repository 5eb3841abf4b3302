"""The cost of one exchange, with nobody else at the servers: here, and there.

Four layouts tell what a server, a call and a number cost: that of the run, and three with next to
no numbers, in one call, in one on each server, and in many on each.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.optimizers.registry import shard_rule
from distbelief.app.store.contract.parameters import Token
from distbelief.app.store.redis.parameters import RedisParameterStore
from distbelief.app.store.redis.trial import trial_name, tried
from distbelief.worker_tasks.context import RunContext
from distbelief.worker_tasks.copies import Copy
from distbelief.worker_tasks.observations import Timings, sampled, until
from distbelief.worker_tasks.server_meter import ServerMeter, Spent

#: Calls on each server where there are many, and the numbers of a call that has next to none.
MANY, NUMBERS = 8, 16

#: Calls between two readings of the servers' clocks: as many as take so long, up to the second.
BETWEEN_S, MOST_BETWEEN = 0.002, 8


class Metered:
    """Calls of one kind, timed in groups between readings of the servers' clocks."""

    def __init__(self, meter: ServerMeter, layout: Layout) -> None:
        self._meter = meter
        self._layout = layout
        self._timings = Timings()
        self._spent: list[Spent] = []
        self._between = 1

    def run(self, do: Callable[[], object]) -> None:
        """Call it once, or a few times if that is short."""
        before = self._meter.read()
        for _ in range(self._between):
            with self._timings.timed():
                do()
        self._spent.append(self._meter.since(before).shared(self._between))
        took = min(self._timings.wall_s[-self._between :])
        self._between = max(1, min(MOST_BETWEEN, math.ceil(BETWEEN_S / max(took, 1e-6))))

    def to_json(self) -> dict[str, Any]:
        return {
            "servers": min(self._layout.n_servers, self._layout.n_shards),
            "calls": self._layout.n_shards,
            "numbers": self._layout.size,
            **self._timings.to_json(),
            "server_s": sampled([max(0.0, each.cpu_s) for each in self._spent]),
            "received": sampled([each.received for each in self._spent]),
            "sent": sampled([each.sent for each in self._spent]),
        }


def exchange_costs(
    context: RunContext, token: Token, words: dict[str, Any], check: Callable[[], None]
) -> dict[str, Any]:
    """Push and fetch for ``seconds``, one after another: of the run's layout, and of small ones."""
    share_s = words["seconds"] / 6
    meter = ServerMeter(context.servers)
    found = _real(context, token, meter, share_s, check)
    for name, layout in small_layouts(len(context.servers)).items():
        with _small_store(context, layout) as store:
            gradient = np.full(store.layout.size, 1e-3, store.dtype)
            metered = Metered(meter, store.layout)
            _pushing(store, Token(context.fence, 0, 1), gradient, metered, share_s, check)
            found[name] = metered.to_json()
    return found


def small_layouts(n_servers: int) -> dict[str, Layout]:
    """Shards of next to no numbers: one, one on each server, and many on each."""
    counts = {"few": 1, "each": n_servers, "many": MANY * n_servers}
    return {
        name: Layout.plan(
            [TensorSpec("trial", (n_calls * NUMBERS,))],
            n_servers=n_servers,
            block_numbers=NUMBERS,
            n_shards=n_calls,
        )
        for name, n_calls in counts.items()
    }


def _real(
    context: RunContext,
    token: Token,
    meter: ServerMeter,
    seconds: float,
    check: Callable[[], None],
) -> dict[str, Any]:
    """Steps without any exchange, as one process alone would take them; then exchanges of real
    gradients, and fetches, in turns. Each for so many seconds, the latter for twice as many.
    """
    store, layout = context.parameters, context.record.layout
    replica = context.replica(token.stream)
    copy = replica.open_copy(token.stream)
    pushes, both, fetches = (Metered(meter, layout) for _ in range(3))
    sequence, wire = int(store.announce(token).sequences.max()), context.config.wire
    # A round of tables exchanges the rows of all of its steps.
    n_steps = context.config.push_interval if copy.by_window and copy.by_round else 1
    alone = _alone(copy, n_steps, seconds, check)
    for number in until(2 * seconds, check):
        step = number * n_steps
        copy.install(copy.fetch(step, step + n_steps))
        copy.compute(step)
        gradient, rows = copy.take_accrued()

        def push(*, fetch: bool) -> None:
            nonlocal sequence
            sequence += 1
            store.push(token, sequence, gradient, rows=rows, fetch=fetch, wire=wire)  # noqa: B023

        pushes.run(lambda: push(fetch=False))
        if not copy.by_window:
            both.run(lambda: push(fetch=True))
        fetches.run(lambda: copy.fetch(step, step + n_steps))  # noqa: B023
    found = {"push": pushes.to_json(), "fetch": fetches.to_json(), "step": alone.to_json()}
    return found if copy.by_window else {**found, "both": both.to_json()}


def _alone(copy: Copy, n_steps: int, seconds: float, check: Callable[[], None]) -> Timings:
    """Steps on a copy that nobody else changes; of tables, those on the rows of so many."""
    timings = Timings()
    copy.install(copy.fetch(0, n_steps))
    copy.fetch_slots()
    for number in until(seconds, check):
        step = number % n_steps if copy.by_window else number
        with timings.timed():
            copy.compute(step)
            copy.step_locally(number)
            if step % n_steps == n_steps - 1:
                copy.take_accrued()
    return timings


def _pushing(
    store: RedisParameterStore,
    token: Token,
    gradient: np.ndarray[Any, Any],
    metered: Metered,
    seconds: float,
    check: Callable[[], None],
) -> None:
    sequence = 0

    def push() -> None:
        nonlocal sequence
        sequence += 1
        store.push(token, sequence, gradient, fetch=True)

    push()  # loads the scripts
    for _ in until(seconds, check):
        metered.run(push)


def _small_store(
    context: RunContext, layout: Layout
) -> AbstractContextManager[RedisParameterStore]:
    """Shards under a name that is gone afterwards."""
    config, fence = context.config, context.fence
    rule, dtype = shard_rule(config), config.dtype
    store = RedisParameterStore(context.servers, trial_name(), layout, rule, dtype, fence=fence)
    return tried(store)
