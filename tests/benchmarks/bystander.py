"""What others on a parameter server notice: ``python tests/benchmarks/bystander.py``.

A bystander asks one parameter server for a key of its own, again and again, while replicas push
to the same server as fast as they can. Prints how long it waits for an answer: idle, and beside
each engine, with shards as large as they may be, and with Lua those that ``call_ms`` allows. Flags:
``--numbers 600000 --replicas 2 --call-ms 10 --seconds 5 --optimizer adagrad``.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
import redis

from distbelief.app.client.engine import Engine
from distbelief.app.client.servers import Servers
from distbelief.app.layout.layout import MAX_SHARD_NUMBERS, Layout
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.optimizers.registry import build_rule
from distbelief.app.settings.config import configure
from distbelief.app.settings.sections import ObjectiveSettings
from distbelief.app.store.contract.parameters import Token
from distbelief.app.store.redis.parameters import RedisParameterStore
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.downpour.shard_size import measure_cost_ns, shard_numbers

#: Between the bystander's questions.
PAUSE_S = 0.001
WAIT_S = 20.0
SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Load:
    """What replicas do to the server; ``shard_numbers`` are the most numbers of a shard."""

    run: str
    engine: Engine
    numbers: int
    shard_numbers: int
    optimizer: str
    call_ms: float

    def store(self, url: str) -> RedisParameterStore:
        servers = Servers([url], engines=[self.engine], call_ms=self.call_ms)
        tensors = [TensorSpec("w", (self.numbers,))]
        layout = Layout.plan(tensors, n_servers=1, shard_numbers=self.shard_numbers)
        settings = ObjectiveSettings.model_validate({"optimizer": self.optimizer})
        return RedisParameterStore(servers, self.run, layout, build_rule(settings), fence=1)


def replica(url: str, load: Load, stream: int, begun: Event, over: Event, pushes: object) -> None:
    """Push until it is over."""
    store, token = load.store(url), Token(fence=1, stream=stream, attempt=1)
    gradient, sequence = np.full(load.numbers, 1e-3, np.float32), 0
    while not over.is_set():
        sequence += 1
        store.push(token, sequence, gradient, fetch=True)
        begun.set()
    pushes.put(sequence)  # type: ignore[attr-defined]  # a queue


def ask(url: str, seconds: float) -> list[float]:
    """Milliseconds of each answer that the bystander got."""
    client, waits = redis.Redis.from_url(url), []
    client.set("bystander", "0")
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        client.get("bystander")
        waits.append(1e3 * (time.perf_counter() - began))
        time.sleep(PAUSE_S)
    return waits


def beside(url: str, load: Load, replicas: int, seconds: float) -> tuple[list[float], float]:
    """The bystander's waits, and the pushes in a second of all replicas together."""
    store = load.store(url)
    store.create(np.zeros(load.numbers))
    over, begun, pushes = SPAWN.Event(), [SPAWN.Event() for _ in range(replicas)], SPAWN.Queue()
    children = [
        SPAWN.Process(target=replica, args=(url, load, stream, event, over, pushes))
        for stream, event in enumerate(begun)
    ]
    for child in children:
        child.start()
    if not all(event.wait(WAIT_S) for event in begun):
        raise TimeoutError(f"no push within {WAIT_S:g} s")
    before = sum(each.applied for each in store.counts())
    began = time.perf_counter()
    waits = ask(url, seconds)
    shards = store.layout.n_shards
    rate = (sum(each.applied for each in store.counts()) - before) / shards
    rate /= time.perf_counter() - began
    over.set()
    for child in children:
        pushes.get(timeout=WAIT_S)
        child.join(WAIT_S)
    store.delete()
    return waits, rate


def line(what: str, waits: Sequence[float], rate: float | None = None) -> str:
    """Median, 99th percentile and longest wait."""
    p99 = float(np.percentile(waits, 99))
    text = f"{what:<44}{statistics.median(waits):>8.2f}{p99:>8.2f}{max(waits):>8.2f}"
    return text if rate is None else f"{text}{rate:>10.2f}"


def cost_ns(url: str, optimizer: str) -> float:
    """Nanoseconds of Lua for a number of a push on this machine, as a training measures it."""
    config, _ = configure({"optimizer": optimizer})
    with closing(Servers([url])) as servers:
        return measure_cost_ns(config, servers)


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--numbers", type=int, default=600_000)
    flags.add_argument("--replicas", type=int, default=2)
    flags.add_argument("--call-ms", type=float, default=10.0)
    flags.add_argument("--seconds", type=float, default=5.0)
    flags.add_argument("--optimizer", default="adagrad")
    asked = flags.parse_args()
    with LocalCluster(servers=1, processes=0, folder=Path(tempfile.mkdtemp()), wait_s=10) as local:
        url = local.endpoints.parameter_servers[0]
        print(
            f"{'the bystander waits, in ms':<44}{'median':>8}{'p99':>8}{'max':>8}{'pushes/s':>10}"
        )
        print(line("idle", ask(url, asked.seconds)), flush=True)
        fitted = shard_numbers(asked.call_ms, asked.replicas, cost_ns(url, asked.optimizer))
        cases = [(Engine.NATIVE, MAX_SHARD_NUMBERS, asked.call_ms)]
        cases += [(Engine.LUA, MAX_SHARD_NUMBERS, math.inf), (Engine.LUA, fitted, asked.call_ms)]
        for engine, most, call_ms in cases:
            share_ms = call_ms / asked.replicas
            load = Load(f"{engine}-{most}", engine, asked.numbers, most, asked.optimizer, share_ms)
            found = beside(url, load, asked.replicas, asked.seconds)
            print(line(f"{engine}, shards of {most:,} numbers", *found), flush=True)


if __name__ == "__main__":
    main()
