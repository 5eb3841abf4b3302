"""Processes of others, any of which may end between two looks at it."""

from __future__ import annotations

import signal
from contextlib import suppress

import psutil


def words_of(process: psutil.Process) -> list[str]:
    """Its command line; of one that has ended none."""
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def children_of(pid: int, *, recursive: bool = False) -> list[psutil.Process]:
    """What a process has started and what is still there; of one that has ended none."""
    try:
        return list(psutil.Process(pid).children(recursive=recursive))
    except psutil.Error:
        return []


def send(process: psutil.Process, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal, unless the process has ended."""
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)
