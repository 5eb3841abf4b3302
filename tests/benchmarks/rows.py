"""What pushing and fetching rows of tables costs: ``python tests/benchmarks/rows.py [lua|native]``.

One embedded parameter server, one client, a table of 2^20 rows in float32 with Adagrad, rows
drawn at random. Prints the median of 30 calls in milliseconds and in microseconds for each row:
of rows that come into being, of rows that are there, and of a fetch; then what the server spent
on each row in pushes and in fetches.
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
from distbelief.app.layout.rows import Ids, TableRows
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.optimizers.rules.adagrad import Adagrad
from distbelief.app.settings.sections import WantedEngine
from distbelief.app.store.contract.parameters import Token
from distbelief.app.store.engines import choose_engines
from distbelief.app.store.redis.parameters import RedisParameterStore
from distbelief.coordinator.cluster.local import LocalCluster

ROWS, CALLS = 2**20, 30
TOKEN = Token(fence=1, stream=0, attempt=1)


def main(wanted: WantedEngine) -> None:
    folder = Path(tempfile.mkdtemp())
    with LocalCluster(servers=1, processes=0, folder=folder, wait_s=10) as cluster:
        servers = Servers(cluster.endpoints.parameter_servers)
        choose_engines(servers, wanted, 10.0)
        print("width   rows    first push ms  us/row    push ms  us/row   fetch ms  us/row", end="")
        print("   server: push us/row   fetch us/row")
        for width in (1, 9, 64):
            for count in (1_000, 10_000):
                servers.one("CONFIG", "RESETSTAT")
                figures = measure(servers, width, count)
                pushed, fetched = spent_us(servers, "push"), spent_us(servers, "fetch")
                cells = (f"{s * 1e3:>11.2f}{s / count * 1e6:>8.2f}" for s in figures)
                spent = f"{pushed / (2 * CALLS * count):>22.2f}{fetched / (CALLS * count):>15.2f}"
                print(f"{width:>5}{count:>7}    {''.join(cells)}{spent}")


def spent_us(servers: Servers, kind: str) -> float:
    """Microseconds that the server spent on native pushes, or on fetches, since the last reset."""
    lines = servers.one("INFO", "commandstats").decode().splitlines()
    mine = (line for line in lines if line.startswith(f"cmdstat_distbelief.{kind}"))
    return sum(float(line.partition("usec=")[2].partition(",")[0]) for line in mine)


def measure(servers: Servers, width: int, count: int) -> list[float]:
    """Median seconds of a push of new rows, of known ones, and of a fetch."""
    tensors = (TensorSpec("bias", (1,)), TensorSpec("t", (ROWS, width), sparse=True, spread=0.01))
    layout = Layout.plan(tensors, n_servers=1, table_numbers=1)
    run, fence = f"rows-{width}-{count}", TOKEN.fence
    store = RedisParameterStore(servers, run, layout, Adagrad(0.05), fence=fence)
    store.create(np.zeros(1))
    rng = np.random.default_rng(0)
    drawn = [np.sort(rng.choice(ROWS, count, replace=False)) for _ in range(CALLS)]
    seconds = []
    for again in range(2):
        numbered = enumerate(drawn, start=1 + again * CALLS)
        calls = [partial(push, store, sequence, ids, width) for sequence, ids in numbered]
        seconds.append(statistics.median(timed(call) for call in calls))
    seconds.append(statistics.median(timed(partial(store.fetch, rows=[ids])) for ids in drawn))
    store.delete()
    return seconds


def push(store: RedisParameterStore, sequence: int, ids: Ids, width: int) -> None:
    gradient = np.ones((len(ids), width), np.float32)
    store.push(TOKEN, sequence, np.zeros(1), rows=[TableRows(ids, gradient)])


def timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


if __name__ == "__main__":
    main(cast("WantedEngine", sys.argv[1] if len(sys.argv) > 1 else "auto"))
