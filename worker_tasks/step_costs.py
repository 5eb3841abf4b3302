"""Steps of a real replica under observation: its loop, its exchanges, its threads."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from typing import Any

from distbelief.app.optimizers.registry import shard_rule
from distbelief.app.store.contract.parameters import Fetched, Pushed, Token
from distbelief.app.store.redis.parameters import RedisParameterStore
from distbelief.worker_tasks.context import RunContext
from distbelief.worker_tasks.observations import Timings, sampled

#: The first steps meet cold caches and new connections: this share of the time is not counted.
WARM_UP = 0.2

#: No unit has as many.
ENDLESS = 1 << 40


class _TimeIsUp(Exception):
    """The seconds of the measurement are over."""


class _ObservedStore(RedisParameterStore):
    """The parameters on the servers, with a clock beside each exchange."""

    def __init__(self, *args: Any, **words: Any) -> None:
        super().__init__(*args, **words)
        self.pushes = Timings()
        self.fetches = Timings()

    def push(self, *args: Any, **words: Any) -> Pushed:
        with self.pushes.timed():
            return super().push(*args, **words)

    def fetch(self, *args: Any, **words: Any) -> Fetched:
        with self.fetches.timed():
            return super().fetch(*args, **words)


class _Watch:
    """Looks at the clocks before each step, and ends the steps when the time is up."""

    def __init__(self, seconds: float, check: Callable[[], None]) -> None:
        self._check = check
        self._deadline = time.monotonic() + seconds
        self._counted_from = self._deadline - (1 - WARM_UP) * seconds
        self.steps = 0
        self.times: list[float] = []
        self.cpu: list[float] = []
        #: CPU seconds of all threads, where it began to count.
        self._spent_from = self._spent = 0.0

    @property
    def spent_each(self) -> float:
        """CPU seconds of all threads for a step."""
        return (self._spent - self._spent_from) / (len(self.times) - 1)

    def look(self) -> None:
        self._check()
        now = time.monotonic()
        if now >= self._counted_from:
            self._spent = time.process_time()
            self._spent_from = self._spent_from if self.times else self._spent
            self.times.append(now)
            self.cpu.append(time.thread_time())
        if now >= self._deadline and len(self.times) > 1:
            raise _TimeIsUp
        self.steps += 1


def step_costs(
    context: RunContext, token: Token, words: dict[str, Any], check: Callable[[], None]
) -> dict[str, Any]:
    """Take steps of the stream for ``seconds``: those of the loop, and each exchange."""
    replica = context.replica(token.stream)
    record = context.record
    rule, dtype = shard_rule(record.config), context.config.dtype
    store = _ObservedStore(
        context.servers, record.run, record.layout, rule, dtype, fence=context.fence
    )
    replica.store = store
    watch = _Watch(words["seconds"], check)
    with suppress(_TimeIsUp):
        replica.run(token, ENDLESS, watch.look)
    times, cpu = watch.times, watch.cpu
    return {
        "steps": watch.steps,
        "pushes": len(store.pushes.wall_s),
        "rate": (len(times) - 1) / (times[-1] - times[0]),
        "spent_s": watch.spent_each,
        "step_wall_s": sampled(_differences(times)),
        "step_cpu_s": sampled(_differences(cpu)),
        "push": store.pushes.to_json(),
        "fetch": store.fetches.to_json(),
    }


def _differences(values: list[float]) -> list[float]:
    return [after - before for before, after in pairwise(values)]
