"""A worker tells what it has used: the processor's seconds of all its processes.

It is answered by the worker's main process (:mod:`distbelief.worker_tasks.presence`). The
operating system counts: the main process, what it has started, and what of that has ended.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

PROCESSES = Path("/proc")


def usage() -> dict[str, Any]:
    """Tell the processor's seconds of this worker so far; none where the system does not say."""
    return {"cpu_s": cpu_seconds()}


def cpu_seconds() -> float | None:
    """Seconds of this process and of its descendants, also of those that it has seen end.

    None where living children cannot be asked for: that needs Linux.
    """
    if sys.platform != "linux":
        return None
    times = os.times()
    ended = times.children_user + times.children_system
    return times.user + times.system + ended + (children_seconds("self") or 0.0)


def children_seconds(process: str) -> float | None:
    """Seconds of the living descendants of a process, and of what those have seen end.

    None where they cannot be asked for: that needs Linux.
    """
    if sys.platform != "linux":
        return None
    return sum(map(_with_children, _children(process)))


def _with_children(process: str) -> float:
    """Seconds of another process and its descendants; 0 once it is gone, for then we have them."""
    try:
        # The name may hold anything, also blanks and brackets: fields are counted behind it.
        fields = (PROCESSES / process / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    ticks = sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime: proc_pid_stat(5)
    return ticks / os.sysconf("SC_CLK_TCK") + sum(map(_with_children, _children(process)))


def _children(process: str) -> list[str]:
    """Children of all threads of a process."""
    try:
        tasks = list((PROCESSES / process / "task").iterdir())
        return [pid for task in tasks for pid in (task / "children").read_text().split()]
    except OSError:
        return []
