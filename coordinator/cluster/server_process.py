"""The process of an embedded server: its environment, its arguments, its append-only files."""

from __future__ import annotations

import shutil
from pathlib import Path

#: Servers keep the memory of large replies for the next ones (twice as fast: no page faults),
#: where they use the C library's allocator.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 25), "MALLOC_TRIM_THRESHOLD_": str(1 << 30)}


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
