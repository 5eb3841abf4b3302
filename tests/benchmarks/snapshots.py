"""How long snapshots of large tables hold a server: ``python tests/benchmarks/snapshots.py``.

One embedded parameter server (``--engine auto``), tables in float32 with Adagrad of which each row
was touched. For each, given as ROWSxWIDTH, prints the shards of the table and, in milliseconds, for
a snapshot of the parameters (an evaluation) and for one of all that a checkpoint has: the server's
time for the longest call, for all of them together, and for how long somebody else waited at most.
Last, the median of 10 pushes of ``--ids`` rows drawn at random. ``--shards`` tries other numbers.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
import redis

from distbelief.app.client.servers import Servers
from distbelief.app.layout.keys import BEST, PARAMETERS, named, slot
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.rows import TableRows
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.optimizers.rules.adagrad import Adagrad
from distbelief.app.store.contract.parameters import Token
from distbelief.app.store.engines import choose_engines
from distbelief.app.store.redis.parameters import RedisParameterStore
from distbelief.coordinator.cluster.local import LocalCluster

PUSHES = 10
#: Between the bystander's questions.
PAUSE_S = 0.0005
WAIT_S = 60.0
RULE = Adagrad(0.05)
TOKEN = Token(fence=1, stream=0, attempt=1)

Freeze = Mapping[str, str]
Store = RedisParameterStore


SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Held:
    """Milliseconds: of the server's longest call, of all calls, and the longest wait of others."""

    longest: float
    together: float
    waited: float


def ask(url: str, begun: Event, over: Event, waits: Queue[float]) -> None:
    """Ask for a key again and again; the longest wait in milliseconds."""
    client, longest = redis.Redis.from_url(url), 0.0
    client.get("bystander")
    begun.set()
    while not over.is_set():
        began = time.perf_counter()
        client.get("bystander")
        longest = max(longest, time.perf_counter() - began)
        time.sleep(PAUSE_S)
    waits.put(1e3 * longest)


def held_by(url: str, servers: Servers, freezes: Sequence[Freeze], store: Store) -> Held:
    """What a snapshot takes, by the server's own log of calls and by somebody who asks beside."""
    servers.one("CONFIG", "SET", "slowlog-max-len", "100000")
    begun, over, waits = SPAWN.Event(), SPAWN.Event(), SPAWN.Queue()
    bystander = SPAWN.Process(target=ask, args=(url, begun, over, waits))
    bystander.start()
    begun.wait(WAIT_S)
    servers.one("CONFIG", "SET", "slowlog-log-slower-than", "0")
    servers.one("SLOWLOG", "RESET")
    for copies in freezes:
        store.freeze(copies)
    servers.one("CONFIG", "SET", "slowlog-log-slower-than", "-1")
    over.set()
    waited = waits.get(timeout=WAIT_S)
    bystander.join(WAIT_S)
    log = servers.one("SLOWLOG", "GET", "-1")
    spent = [entry[2] / 1e3 for entry in log if entry[3][0].upper() not in (b"CONFIG", b"GET")]
    for copies in freezes:
        store.drop(*copies.values())
    return Held(max(spent), sum(spent), waited)


def measure(url: str, servers: Servers, table: str, n_ids: int, shards: int | None) -> str:
    """A line of what is printed."""
    rows, width = map(int, table.split("x"))
    tensors = (TensorSpec("bias", (1,)), TensorSpec("t", (rows, width), sparse=True, spread=0.01))
    layout = Layout.plan(tensors, n_servers=1, table_numbers=1)
    if shards is not None:
        layout = replace(layout, n_shards=layout.n_dense_shards + shards, n_table_shards=shards)
    store = RedisParameterStore(servers, table, layout, RULE, fence=TOKEN.fence)
    touched = [TableRows(np.arange(rows), np.ones((rows, width), np.float32))]
    names = [PARAMETERS, *(slot(name) for name in RULE.slots)]
    store.create(
        np.zeros(1), {name: np.ones(1) for name in RULE.slots}, dict.fromkeys(names, touched)
    )
    store.copy(PARAMETERS, BEST)
    frozen = {name: named(f"checkpoint:{name}") for name in [*names, BEST]}
    best = {BEST: frozen.pop(BEST)}
    evaluation = held_by(url, servers, [{PARAMETERS: named("evaluation1")}], store)
    checkpoint = held_by(url, servers, [frozen, best], store)
    pushed = statistics.median(pushes(store, rows, width, n_ids))
    store.delete()
    cells = [
        f"{held.longest:>10.1f}{held.together:>10.0f}{held.waited:>10.1f}"
        for held in (evaluation, checkpoint)
    ]
    return f"{table:>14}{layout.n_table_shards:>8}{''.join(cells)}{pushed * 1e3:>10.2f}"


def pushes(store: Store, rows: int, width: int, n_ids: int) -> Iterator[float]:
    """Seconds of each push."""
    rng = np.random.default_rng(0)
    for sequence in range(1, PUSHES + 1):
        ids = np.sort(rng.choice(rows, n_ids, replace=False))
        gradient = TableRows(ids, np.ones((n_ids, width), np.float32))
        began = time.perf_counter()
        store.push(TOKEN, sequence, np.zeros(1), rows=[gradient])
        yield time.perf_counter() - began


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("tables", nargs="*", default=["1000000x1", "10000000x1", "1000000x16"])
    flags.add_argument("--ids", type=int, default=6_400)
    flags.add_argument("--shards", type=int, nargs="*")
    flags.add_argument("--engine", choices=["auto", "lua", "native"], default="auto")
    asked = flags.parse_args()
    with LocalCluster(
        servers=1, processes=0, folder=Path(tempfile.mkdtemp()), wait_s=10
    ) as cluster:
        servers = Servers(cluster.endpoints.parameter_servers)
        choose_engines(servers, asked.engine, 10.0)
        heads = ("call", "together", "waited") * 2
        print(f"{'ms':>14}{'shards':>8}{''.join(f'{each:>10}' for each in heads)}{'push':>10}")
        url = cluster.endpoints.parameter_servers[0]
        for table in asked.tables:
            for shards in asked.shards or [None]:
                print(measure(url, servers, table, asked.ids, shards), flush=True)


if __name__ == "__main__":
    main()
