"""The process of an embedded server: its environment, its arguments, its append-only files."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from distbelief.app.errors import ServerUnreachable
from distbelief.coordinator.cluster.processes import Child

#: Servers keep the memory of large replies for the next ones (twice as fast: no page faults),
#: where they use the C library's allocator.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 25), "MALLOC_TRIM_THRESHOLD_": str(1 << 30)}

#: Between two looks at a server that is starting.
ASK_AGAIN_S = 0.5


def forget_other_shapes(folder: Path, names: list[str]) -> None:
    """Remove the files of another number of servers: what they hold, a checkpoint has replaced.

    Else a run that comes back to that number later would take them for its own.
    """
    there = [path for path in folder.glob("*") if path.name != "control"]
    if {path.name for path in there} - set(names) or len(there) not in (0, len(names) - 1):
        for path in there:
            shutil.rmtree(path)


def server_arguments(socket: Path, folder: Path, durable: Path | None) -> list[str]:
    """Arguments of a server that listens on ``socket`` alone.

    It works in ``folder``, or keeps an append-only file in a folder of its own in ``durable``.
    """
    if durable is not None:
        folder = durable / socket.stem
        folder.mkdir(parents=True, exist_ok=True)
    return [
        *("--port", "0"),  # no TCP at all
        *("--unixsocket", str(socket)),
        *("--unixsocketperm", "700"),
        *("--dir", str(folder)),
        *("--save", ""),  # a snapshot would fork the server in the middle of training
        *("--appendonly", "no" if durable is None else "yes"),
        *("--maxmemory-policy", "noeviction"),
        *("--daemonize", "no"),
    ]


def wait_for(
    urls: Sequence[str], children: Sequence[Child], check: Callable[[], None], wait_s: float
) -> None:
    """Wait until the servers answer, of which the first ``children`` are the processes.

    ``check`` starts those again that somebody killed.

    Raises:
        ServerError: one has ended; with the end of its log.
        ServerUnreachable: one does not answer within ``wait_s``.
    """
    from distbelief.app.client.servers import Servers  # imported while they come up

    for index, url in enumerate(urls):
        began = time.monotonic()
        with closing(Servers([url])) as servers:
            while True:
                try:
                    servers.one("PING", timeout_s=ASK_AGAIN_S)
                    break
                except ServerUnreachable:
                    if children[index].was_killed:
                        check()
                    children[index].check()
                    if time.monotonic() - began > wait_s:
                        raise
