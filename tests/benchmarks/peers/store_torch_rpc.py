"""A parameter server on torch.distributed.rpc: two processes, tensors over TensorPipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.distributed import rpc
from torch.multiprocessing import get_context

from peers.adagrad import Numbers
from peers.store import EPSILON, FIRST_SQUARES, RATE, first_values, measured

SERVER, CLIENT = "server", "client"


class Held:
    """What the server's process holds; the functions below run there."""

    values: torch.Tensor
    squares: torch.Tensor


def begin(size: int) -> None:
    Held.values = torch.from_numpy(first_values(size))
    Held.squares = torch.full_like(Held.values, FIRST_SQUARES)


def push(gradient: torch.Tensor) -> None:
    Held.squares.addcmul_(gradient, gradient)
    Held.values.addcdiv_(gradient, Held.squares.sqrt().add_(EPSILON), value=-RATE)


def fetch() -> torch.Tensor:
    return Held.values


def exchange(gradient: torch.Tensor) -> torch.Tensor:
    push(gradient)
    return Held.values


class RpcStore:
    def push(self, gradient: Numbers) -> None:
        rpc.rpc_sync(SERVER, push, (torch.from_numpy(gradient),))

    def fetch(self) -> Numbers:
        values: Numbers = rpc.rpc_sync(SERVER, fetch).numpy()
        return values

    def exchange(self, gradient: Numbers) -> Numbers:
        values: Numbers = rpc.rpc_sync(SERVER, exchange, (torch.from_numpy(gradient),)).numpy()
        return values


def serve(meeting: str) -> None:
    torch.set_num_threads(1)
    _join(SERVER, 0, meeting)
    rpc.shutdown()  # waits until the client shuts down, too


def _join(name: str, rank: int, meeting: str) -> None:
    options = rpc.TensorPipeRpcBackendOptions(init_method=meeting, rpc_timeout=60)
    rpc.init_rpc(name, rank=rank, world_size=2, rpc_backend_options=options)


@contextmanager
def contestant(options: dict[str, Any]) -> Iterator[Callable[[dict[str, Any]], dict[str, Any]]]:
    meeting = f"file://{Path(options['folder']).resolve()}/meeting"
    Path(meeting.removeprefix("file://")).unlink(missing_ok=True)
    server = get_context("spawn").Process(target=serve, args=(meeting,), daemon=True)
    server.start()
    torch.set_num_threads(1)
    _join(CLIENT, 1, meeting)
    try:
        rpc.rpc_sync(SERVER, begin, (options["size"],))
        yield measured(RpcStore(), options["size"])
    finally:
        rpc.shutdown()
        server.join(10)
