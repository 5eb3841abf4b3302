"""What tests of faults share: workers that they may stop and kill, and what shards say."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from distbelief.app.client.commands import Command
from distbelief.app.client.servers import Servers
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.cluster.processes import Child, end, import_path
from tests.cluster.processes import children_of


@contextmanager
def workers(fleet: LocalCluster, *names: str, processes: int = 1) -> Iterator[list[Child]]:
    """Workers of so many processes each, which a test may kill."""
    started = [fleet.start_worker(processes, name) for name in names]
    try:
        yield started
    finally:
        for each in started:
            fleet.children.remove(each)
            with suppress(ProcessLookupError):  # a test may have ended it
                os.killpg(each.process.pid, signal.SIGCONT)
        end(started, 0.0)


def start_worker(
    fleet: LocalCluster, folder: Path, name: str, *words: str, **variables: str
) -> Child:
    """Start a worker of one process as a user does, with more words and variables."""
    command = [sys.executable, "-m", "celery", "-A", "distbelief", "worker", "--concurrency=1"]
    command += [f"--hostname={name}@%h", "--without-gossip", "--without-mingle", "--loglevel=INFO"]
    environment = {**fleet.environment, "PYTHONPATH": import_path(), **variables}
    return Child.start(name, [*command, *words], folder, environment)


def busy(worker: Child, folder: Path) -> bool:
    """Whether a process of the worker is computing a gradient of slowmodels.Sleepy."""
    pool = children_of(worker.process.pid, recursive=True)
    return any((folder / f"busy-{each.pid}").exists() for each in pool)


def clocks(fleet: LocalCluster, run: str, n_shards: int) -> list[int]:
    """Applied pushes of each shard, asked without our own store."""
    servers = Servers(fleet.endpoints.parameter_servers)
    n_servers = len(fleet.endpoints.parameter_servers)
    commands = [
        Command(shard % n_servers, ("HGET", f"ps:{{{run}/{shard}}}:meta", "clock"))
        for shard in range(n_shards)
    ]
    answers = [int(answer or 0) for answer in servers.call(commands)]  # none before it began
    servers.close()
    return answers


def keys_of(cluster: LocalCluster, run: str) -> set[str]:
    """What a run has left on the parameter servers, without its shards' names."""
    servers = Servers(cluster.endpoints.parameter_servers)
    found = [
        key.decode()
        for server in range(len(servers))
        for key in servers.one("KEYS", f"ps:{{{run}/*", server=server)
    ]
    servers.close()
    return {key.partition("}:")[2] for key in found}
