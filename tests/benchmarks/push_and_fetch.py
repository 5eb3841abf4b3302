"""What a push and a fetch cost: ``python tests/benchmarks/push_and_fetch.py [lua|native]``.

One embedded parameter server, one client, dense float32 parameters. Prints the median of
30 calls (10 for a million numbers), in milliseconds and in nanoseconds for each number.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np

from distbelief.app.client.servers import Servers
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.optimizers.registry import OPTIMIZERS, build_rule
from distbelief.app.settings.sections import ObjectiveSettings, WantedEngine
from distbelief.app.store.contract.parameters import Token
from distbelief.app.store.engines import choose_engines
from distbelief.app.store.redis.parameters import RedisParameterStore
from distbelief.coordinator.cluster.local import LocalCluster

SIZES = (7_850, 65_536, 1_000_000)
RULES = [
    build_rule(ObjectiveSettings.model_validate({"optimizer": name, "ftrl_l1": 0.1}))
    for name in OPTIMIZERS
]
TOKEN = Token(fence=1, stream=0, attempt=1)


def main(wanted: WantedEngine) -> None:
    folder = Path(tempfile.mkdtemp())
    with LocalCluster(servers=1, processes=0, folder=folder, wait_s=10) as cluster:
        servers = Servers(cluster.endpoints.parameter_servers)
        choose_engines(servers, wanted, 10.0)
        print("    numbers  shards  rule      push ms  ns/number  fetch ms  ns/number")
        for size in SIZES:
            for rule in RULES:
                layout = Layout.plan([TensorSpec("w", (size,))], n_servers=1)
                run = f"bench-{size}-{rule.name}"
                store = RedisParameterStore(servers, run, layout, rule, fence=TOKEN.fence)
                push, fetch = measure(store, 10 if size >= 1_000_000 else 30)
                print(
                    f"{size:>11,}  {layout.n_shards:>6}  {rule.name:<8}"
                    f"{push * 1e3:>9.2f}{push / size * 1e9:>11.0f}"
                    f"{fetch * 1e3:>10.2f}{fetch / size * 1e9:>11.2f}"
                )
                store.delete()


def measure(store: RedisParameterStore, calls: int) -> tuple[float, float]:
    """Median seconds of a push and of a fetch."""
    rng = np.random.default_rng(0)
    store.create(rng.normal(size=store.layout.size))
    gradient = rng.normal(size=store.layout.size)
    pushes = [
        timed(partial(store.push, TOKEN, sequence, gradient)) for sequence in range(1, calls + 1)
    ]
    fetches = [timed(store.fetch) for _ in range(calls)]
    return statistics.median(pushes), statistics.median(fetches)


def timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


if __name__ == "__main__":
    main(cast("WantedEngine", sys.argv[1] if len(sys.argv) > 1 else "auto"))
