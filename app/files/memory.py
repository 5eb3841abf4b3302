"""The memory that is left, asked before something of the size that a file announces is made."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_STATM = Path("/proc/self/statm")

#: Of the group of processes in which a container runs.
_GROUP = Path("/sys/fs/cgroup")


def available_memory() -> int:
    """Bytes that this process may still take: those free, or that the kernel would give up.

    What the kernel does not tell is no limit.
    """
    return max(0, min(_limits()))


def size_text(n_bytes: float) -> str:
    """A number of bytes as a person would say it, as disks are sold."""
    units = ("bytes", "kB", "MB", "GB", "TB")
    power = min(len(f"{n_bytes:.0f}") - 1, 3 * (len(units) - 1)) // 3
    shown = n_bytes / 1000**power
    return f"{shown:,.0f} {units[power]}" if shown >= 1000 else f"{shown:.3g} {units[power]}"


def _limits() -> Iterator[int]:
    yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, KeyError, ValueError):
        lines = _MEMINFO.read_text(encoding="ascii").splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        yield int(fields["MemAvailable"].split()[0]) << 10
    with suppress(OSError, ValueError):  # "max" is no number, and no limit
        limit = int((_GROUP / "memory.max").read_text())
        yield limit - int((_GROUP / "memory.current").read_text())
    with suppress(OSError, ValueError):
        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            taken = int(_STATM.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
            yield limit - taken
