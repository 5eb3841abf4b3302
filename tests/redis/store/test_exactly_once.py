"""Many pushes over connections that fail in every way: each counts once on every shard."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
import pytest

from distbelief.app.client import servers as wire
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.optimizers.rules.sgd import SGD
from distbelief.app.store.contract.parameters import Answer, ShardCounts, Token
from distbelief.app.store.redis.parameters import RedisParameterStore
from distbelief.coordinator.cluster.binaries import ServerProgram
from tests.redis.client.faulty_proxy import Fault, FaultyProxy, faulty
from tests.redis.private import PrivateServer, connected

RUN = "run"
LAYOUT = Layout((TensorSpec("w", (24,)),), block_numbers=4, n_shards=3, n_servers=2)
STREAMS, PUSHES = 4, 2_500
RATE = 0.01
#: Whole numbers: sums of this many are exact in float32, in whatever order.
GRADIENTS = np.random.default_rng(0).integers(-8, 9, (STREAMS, PUSHES, LAYOUT.size))


def test_ten_thousand_pushes_with_one_percent_faults_are_applied_exactly_once_per_shard(
    program: ServerProgram, monkeypatch: pytest.MonkeyPatch, say: Callable[[str], None]
) -> None:
    monkeypatch.setattr(wire, "SOCKET_TIMEOUT_S", 0.2)  # each silence costs as much
    began = time.monotonic()
    with ExitStack() as stack:
        servers = [stack.enter_context(PrivateServer(program)) for _ in range(LAYOUT.n_servers)]
        plain = stack.enter_context(connected(*(server.url for server in servers)))
        store = RedisParameterStore(plain, RUN, LAYOUT, SGD(1.0), fence=1)
        store.create(np.zeros(LAYOUT.size))
        proxies, answers = push_all_through_faults(servers)
        counts, fetched = store.counts(), [store.fetch(stream=s) for s in range(STREAMS)]

    say(f"{figures(proxies, answers, counts)}; {time.monotonic() - began:.1f} s")
    assert fetched[0].vector.tolist() == (-GRADIENTS.sum(axis=(0, 1))).tolist()
    assert counts == [ShardCounts(applied=STREAMS * PUSHES, refused=0)] * LAYOUT.n_shards
    for each in fetched:
        assert each.positions.sequences.tolist() == [PUSHES] * LAYOUT.n_shards
    # Each kind of fault was there, and some came after a server had applied the push.
    assert all(set(proxy.injected) == set(Fault) for proxy in proxies)
    assert answers[Answer.DUPLICATE] > 0


def push_all_through_faults(
    servers: list[PrivateServer],
) -> tuple[list[FaultyProxy], Counter[Answer]]:
    """Every stream pushes from a thread of its own; returns when nothing is under way."""
    with ExitStack() as stack:
        proxies = [
            stack.enter_context(faulty(server.socket, RATE, seed))
            for seed, server in enumerate(servers)
        ]
        clients = stack.enter_context(connected(*(p.url for p in proxies), deadline_s=60.0))
        store = RedisParameterStore(clients, RUN, LAYOUT, SGD(1.0), fence=1)

        def push(stream: int) -> Counter[Answer]:
            answers: Counter[Answer] = Counter()
            for index, gradient in enumerate(GRADIENTS[stream]):
                answers.update(store.push(Token(1, stream, 1), index + 1, gradient).answers)
            return answers

        with ThreadPoolExecutor(STREAMS) as threads:
            return proxies, sum(threads.map(push, range(STREAMS)), Counter[Answer]())


def figures(proxies: list[FaultyProxy], answers: Counter[Answer], counts: list[ShardCounts]) -> str:
    injected = sum((proxy.injected for proxy in proxies), Counter[Fault]())
    surplus = [count.applied - STREAMS * PUSHES for count in counts]
    kinds = ", ".join(f"{fault} {injected[fault]}" for fault in Fault)
    return (
        f"{STREAMS * PUSHES:,} pushes to {LAYOUT.n_shards} shards on {len(proxies)} servers in "
        f"{sum(proxy.requests for proxy in proxies):,} requests; {injected.total()} faults: "
        f"{kinds}; {answers[Answer.DUPLICATE]} answers DUPLICATE; "
        f"missing {-sum(n for n in surplus if n < 0)}, double {sum(n for n in surplus if n > 0)}"
    )
