"""A cluster that is there to be hurt, and how its runs stand, asked without our own store."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from distbelief.app.client.commands import Command
from distbelief.app.client.servers import Servers
from distbelief.app.runs import events
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.cluster.processes import Child
from tests.cluster.processes import children_of

DEADLINE_S = 300.0
POLL_S = 0.02

CONTROL = "control"
SHARDS = 3


class FaultyCluster:
    """Hurts the servers of a cluster. Close it before the cluster."""

    def __init__(self, cluster: LocalCluster) -> None:
        self.cluster = cluster
        endpoints = cluster.endpoints
        self.control = Servers([endpoints.broker])
        self.parameters = Servers(endpoints.parameter_servers)

    def close(self) -> None:
        self.control.close()
        self.parameters.close()

    def start_worker(self, processes: int, name: str = "worker") -> Child:
        """Start a worker that may import the models of these tests."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DISTBELIEF_ALLOWED_IMPORTS", "slowmodels")
            patch.syspath_prepend(str(Path(__file__).parents[1]))
            return self.cluster.start_worker(processes, name)

    # --- faults

    @contextmanager
    def killed(self, *names: str) -> Iterator[None]:
        """Servers that are killed, and start again at the end."""
        for name in names:
            child = self._child(name)
            child.process.kill()
            child.process.wait()
        try:
            yield
        finally:
            for name in names:
                child = self._child(name)
                self.cluster.children[self.cluster.children.index(child)] = child.again()
                self._server(name).one("PING")

    @contextmanager
    def frozen(self, *names: str) -> Iterator[None]:
        """Servers that stay connected and answer nothing."""
        processes = [self._child(name).process.pid for name in names]
        with ExitStack() as stack:
            for process in processes:
                os.kill(process, signal.SIGSTOP)
                stack.callback(os.kill, process, signal.SIGCONT)
            yield

    def cut(self) -> None:
        """Cut all connections of all servers."""
        for name in self.names:
            self._server(name).one("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def flush(self, name: str) -> None:
        """A server that forgets everything."""
        self._server(name).one("FLUSHALL")

    # --- how it stands

    @property
    def names(self) -> list[str]:
        """Of the servers."""
        return [CONTROL, *(f"parameters{index}" for index in range(len(self.parameters)))]

    def clocks(self, run: str) -> list[int]:
        """Applied pushes of each shard; 0 of one that does not know the run."""
        commands = [
            Command(shard % len(self.parameters), ("HGET", f"ps:{{{run}/{shard}}}:meta", "clock"))
            for shard in range(SHARDS)
        ]
        return [int(clock or 0) for clock in self.parameters.call(commands)]

    def told(self, run: str, *kinds: str, since: float = 0.0) -> list[dict[str, Any]]:
        """Events of some kinds from a moment on, in seconds since 1970."""
        return [
            fields
            for at_ms, kind, fields in events.read(self.control, run)
            if kind in kinds and at_ms >= 1000 * since
        ]

    def losses(self, run: str) -> dict[int, float]:
        """The loss at each iteration of a Sandblaster run that the control server knows of."""
        return {told["iteration"]: told["loss"] for told in self.told(run, "iteration")}

    def seconds_until_progress(self, runs: Sequence[str]) -> float:
        """Wait until each of ``runs`` has finished a unit or an iteration from now on."""
        began = time.time()
        while not all(self.told(run, "unit", "iteration", since=began) for run in runs):
            ends = [fields for run in runs for fields in self.told(run, "end")]
            assert not ends, f"ended, of {runs}: {ends}"
            assert time.time() < began + DEADLINE_S, f"no progress of {runs}"
            time.sleep(POLL_S)
        return time.time() - began

    def workers(self) -> set[int]:
        """Processes of the workers and their pools."""
        mains = [child.process.pid for child in self.cluster.children[len(self.names) :]]
        pools = [each.pid for main in mains for each in children_of(main)]
        return {*mains, *pools}

    def _child(self, name: str) -> Child:
        return next(child for child in self.cluster.children if child.name == name)

    def _server(self, name: str) -> Servers:
        index = self.names.index(name)
        return self.control if index == 0 else self.parameters.only(index - 1)
