"""What shared memory saves: ``python tests/benchmarks/shared_memory.py``.

One embedded native server, one client, dense float32 parameters, Adagrad. Each exchange is made
over the socket and in shared memory, by turns. Prints medians: milliseconds, and the CPU
milliseconds of the server and of the client.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np

from distbelief.app.client import shared
from distbelief.app.client.servers import Servers
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.optimizers.rules.adagrad import Adagrad
from distbelief.app.store.contract.parameters import Token
from distbelief.app.store.engines import choose_engines
from distbelief.app.store.redis.parameters import RedisParameterStore
from distbelief.coordinator.cluster.local import LocalCluster

SIZES = (65_536, 1_000_000, 10_000_000)
SECONDS = 4.0
TOKEN = Token(fence=1, stream=0, attempt=1)
#: The most bytes of an exchange in shared memory, by the way that it takes.
WAYS = {"socket": 0, "shared": shared.MOST_BYTES}


def main() -> None:
    print("    numbers  call   way                ms  server CPU ms  client CPU ms")
    for size in SIZES:
        with LocalCluster(
            servers=1, processes=0, folder=Path(tempfile.mkdtemp()), wait_s=20
        ) as cluster:
            servers = Servers(cluster.endpoints.parameter_servers)
            choose_engines(servers, "native", 10.0)
            calls = exchanges(servers, size)
            server = cluster.children[1].process.pid
            for name, call in calls.items():
                for way, samples in measured(call, server).items():
                    medians = (
                        f"{statistics.median(each) * 1e3:>15.2f}"
                        for each in zip(*samples, strict=True)
                    )
                    print(f"{size:>11,}  {name:<5}  {way}", *medians, sep="")
            servers.close()


def exchanges(servers: Servers, size: int) -> dict[str, Callable[[], object]]:
    layout = Layout.plan([TensorSpec("w", (size,))], n_servers=1)
    rule = Adagrad(0.05, epsilon=1e-10, initial_accumulator=0.1)
    store = RedisParameterStore(servers, f"bench-{size}", layout, rule, fence=TOKEN.fence)
    rng, sequences = np.random.default_rng(0), count(1)
    store.create(rng.standard_normal(size, np.float32))
    gradient = rng.standard_normal(size, np.float32)
    return {
        "push": lambda: store.push(TOKEN, next(sequences), gradient),
        "fetch": store.fetch,
        "both": lambda: store.push(TOKEN, next(sequences), gradient, fetch=True),
    }


def measured(
    call: Callable[[], object], server: int
) -> dict[str, list[tuple[float, float, float]]]:
    """For each way the seconds of each call, and the CPU seconds of both sides."""
    found = defaultdict[str, list[tuple[float, float, float]]](list)
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        for way, most in WAYS.items():
            shared.MOST_BYTES = most
            before = time.perf_counter(), used_by(server), time.process_time()
            call()
            after = time.perf_counter(), used_by(server), time.process_time()
            wall, there, here = (b - a for a, b in zip(before, after, strict=True))
            found[way].append((wall, there, here))
    return found


def used_by(process: int) -> float:
    """The CPU seconds of a process."""
    return int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e9


if __name__ == "__main__":
    main()
