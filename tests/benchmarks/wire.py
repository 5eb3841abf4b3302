"""What numbers in fewer bits cost and save: ``python tests/benchmarks/wire.py [IMAGES]``.

First the servers' processor time of a push and of a fetch, for each number, with either engine; and
what a push takes here. Then, with one replica that exchanges at each step, so that all see
the same examples, the bytes at the servers' sockets for a minibatch and the held-out loss after as
many examples, in relation to that of float32: of digits by a network and by softmax regression,
and of MNIST-like images where they are given. None of it but the time here depends on what else the
machine does. With ``--seeds 3`` instead the held-out loss of two replicas that exchange at each
step, whose order depends on the machine.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

import numpy as np

from distbelief import LocalCluster, train
from distbelief.app.client.servers import Servers
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.optimizers.rules.adagrad import Adagrad
from distbelief.app.settings.downpour import Wire
from distbelief.app.settings.sections import WantedEngine
from distbelief.app.store.contract.parameters import Token
from distbelief.app.store.engines import choose_engines
from distbelief.app.store.redis.parameters import RedisParameterStore
from distbelief.worker_tasks.server_meter import ServerMeter

WIRES: tuple[Wire, ...] = get_args(Wire)
#: Numbers of a shard, and how often they are pushed and fetched.
CALLS: Mapping[WantedEngine, tuple[int, int]] = {"native": (1_000_000, 60), "lua": (100_000, 12)}

PROBLEMS: Mapping[str, Mapping[str, Any]] = {
    "digits, network": {},
    "digits, softmax regression": {"model": "softmax"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("images", nargs="?", help="a file like MNIST's, or a folder")
    parser.add_argument("--seeds", type=int, default=0, help="of trainings with two replicas")
    given = parser.parse_args()
    problems = dict(PROBLEMS)
    if given.images:
        problems["images, network of 256"] = {"data": given.images, "hidden": (256,), "passes": 4}
    folder = Path(tempfile.mkdtemp())
    with (
        LocalCluster(servers=1, processes=2, folder=folder, wait_s=30) as cluster,
        closing(Servers(cluster.endpoints.parameter_servers)) as servers,
    ):
        meter = ServerMeter(servers)
        if given.seeds:
            several(cluster, meter, given.seeds)
            return
        print("| engine | wire | server, push | server, fetch | push here |")
        print("|---|---|---|---|---|")
        for engine in CALLS:
            choose_engines(servers, engine, 10.0)
            for wire in WIRES:
                print(f"| {engine} | {wire} | {in_ns(servers, meter, engine, wire)} |", flush=True)
        print("\n| training | wire | bytes a minibatch | held-out loss | in relation |")
        print("|---|---|---|---|---|")
        for name, settings in problems.items():
            usual = 0.0
            for wire in WIRES:
                n_bytes, loss = trained(cluster, meter, {**settings, "wire": wire})
                usual = usual or loss
                row = f"{name} | {wire} | {n_bytes:,.0f} | {loss:.4f} | {loss / usual:.3f}"
                print(f"| {row} |", flush=True)


def in_ns(servers: Servers, meter: ServerMeter, engine: WantedEngine, wire: Wire) -> str:
    """Nanoseconds for a number."""
    size, calls = CALLS[engine]
    layout = Layout.plan([TensorSpec("w", (size,))], n_servers=1)
    store = RedisParameterStore(servers, f"bench-{engine}-{wire}", layout, Adagrad(0.05), fence=1)
    random = np.random.default_rng(0)
    store.create(random.normal(size=size))
    gradient, residual = random.normal(size=size).astype("f4"), np.zeros(size, "f4")
    pushes = iter(range(1, calls + 2))

    def push() -> None:
        store.push(Token(1, 0, 1), next(pushes), gradient, wire=wire, residual=residual)

    def server_ns(do: Callable[[], object]) -> tuple[float, float]:
        before, began = meter.read(), time.perf_counter()
        for _ in range(calls):
            do()
        here = time.perf_counter() - began
        return 1e9 * meter.since(before).cpu_s / calls / size, 1e9 * here / calls / size

    push()  # loads the scripts
    pushed, here = server_ns(push)
    fetched, _ = server_ns(lambda: store.fetch(wire=wire))
    store.delete()
    return f"{pushed:.2f} | {fetched:.2f} | {here:.2f}"


def several(cluster: LocalCluster, meter: ServerMeter, seeds: int) -> None:
    """The held-out loss of two replicas, whose order is another each time: means over seeds."""
    print("\n| two replicas | wire | held-out loss | in relation |")
    print("|---|---|---|---|")
    for name, settings in PROBLEMS.items():
        usual = 0.0
        for wire in WIRES:
            losses = [
                trained(cluster, meter, {**settings, "wire": wire, "replicas": 2, "seed": seed})[1]
                for seed in range(seeds)
            ]
            loss = sum(losses) / seeds
            usual = usual or loss
            print(f"| {name} | {wire} | {loss:.4f} | {loss / usual:.3f} |", flush=True)


def trained(
    cluster: LocalCluster, meter: ServerMeter, settings: Mapping[str, Any]
) -> tuple[float, float]:
    """Bytes for a minibatch, and the held-out loss at the end."""
    each_step = {"n_push": 1, "n_fetch": 1, "overlap": False, "replicas": 1}
    before = meter.read()
    result = train(
        cluster=cluster,
        **{"passes": 10, **each_step, **settings},
        evaluate_every=1000.0,
        checkpoint_seconds=1000.0,
    )
    spent = meter.since(before)
    steps = sum(event.fields["steps"] for event in result.history if event.kind == "unit")
    assert result.heldout is not None
    return (spent.received + spent.sent) / steps, result.heldout["loss"]


if __name__ == "__main__":
    main()
