"""What durability costs: pushes with an append-only file, and a checkpoint.

``python tests/benchmarks/durability.py``: two embedded parameter servers, one of them with an
append-only file, are pushed to in turns, so that a busy machine slows both alike. Prints
medians of the time of one push of a million parameters (Adagrad, float32), how much the file
grows with it, how long the shards are held to freeze a checkpoint, and how long writing and
reading it takes.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from distbelief.app.client.servers import Servers
from distbelief.app.files import checkpoint
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.optimizers.rules.adagrad import Adagrad
from distbelief.app.store.contract.parameters import Token
from distbelief.app.store.redis.parameters import RedisParameterStore
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.downpour.checkpoint_state import Known, capture, restore

SIZE = 1_000_000
ROUNDS = 7
RULE = Adagrad(0.05)
LAYOUT = Layout.plan([TensorSpec("w", (SIZE,))], n_servers=1)


def seconds(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    return time.perf_counter() - began


def store_on(stack: ExitStack, folder: Path, durable: Path | None) -> RedisParameterStore:
    cluster = LocalCluster(servers=1, processes=0, folder=folder, wait_s=20.0, durable=durable)
    servers = Servers(stack.enter_context(cluster).endpoints.parameter_servers)
    stack.callback(servers.close)
    store = RedisParameterStore(servers, "bench", LAYOUT, RULE, fence=1)
    store.create(np.zeros(SIZE))
    return store


def main() -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        plain = store_on(stack, folder / "plain", None)
        durable = store_on(stack, folder / "durable", folder / "files")
        gradient = np.random.default_rng(0).normal(size=SIZE)
        taken: dict[str, list[float]] = {"plain": [], "durable": []}
        before = size_of(folder / "files")
        for number in range(1, ROUNDS + 1):
            for name, store in (("plain", plain), ("durable", durable)):
                token = Token(1, 0, 1)
                push = seconds(lambda s=store, n=number, t=token: s.push(t, n, gradient))  # type: ignore[misc]
                taken[name].append(push)
        grown = (size_of(folder / "files") - before) / ROUNDS
        median = {name: statistics.median(values) for name, values in taken.items()}
        without, with_file = 1000 * median["plain"], 1000 * median["durable"]
        print(f"push without an append-only file {without:6.0f} ms")
        print(f"push with one {with_file:25.0f} ms, {with_file / without:.2f} times")
        print(f"the file grows by {grown / SIZE:.1f} bytes a parameter and push")
        checkpoints(plain, folder / "checkpoints")


def checkpoints(store: RedisParameterStore, folder: Path) -> None:
    """Time freezing, writing and restoring a checkpoint of a million parameters."""
    frozen, written, back = [], [], []
    for number in range(ROUNDS):
        began = time.perf_counter()
        captured = capture(store, {}, best=False, rank=None)
        frozen.append(time.perf_counter() - began)
        name = f"{number:06d}"
        document, vectors = captured.document, captured.vectors
        began = time.perf_counter()
        path = checkpoint.write(folder, name, document, vectors())
        written.append(time.perf_counter() - began)
        captured.release()
        saved = checkpoint.read(path)
        store.delete()
        began = time.perf_counter()
        restore(store, number + 2, lambda saved=saved: saved, Known())  # type: ignore[misc]
        back.append(time.perf_counter() - began)
    for what, values in (("freezing", frozen), ("writing", written), ("restoring", back)):
        print(f"{what} a checkpoint {1000 * statistics.median(values):6.0f} ms")


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.aof"))


if __name__ == "__main__":
    main()
